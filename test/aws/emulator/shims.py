"""Starts ministack with what it lacks and Candor relies on. Each function below says what AWS does, and what the emulator does
instead; docs/verification.md lists them. A release that has changed underneath is refused, not half patched."""

import contextvars
import http.client
import json
import os
import string
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from ministack.core import lambda_runtime
from ministack.services import ec2, eventbridge, lambda_svc, scheduler, stepfunctions
from ministack.services.cloudformation import provisioners


def original(module, name):
    if not hasattr(module, name):
        sys.exit(f"shims.py: this ministack has no {module.__name__}.{name}; adapt the shims to the pinned version")
    return getattr(module, name)


def lambda_errors_keep_their_names():
    """Lambda's Node runtime reports a thrown error's `name` as errorType, by which Step Functions' Retry and Catch choose. The
    emulator calls every one of them Runtime.HandlerError."""
    script = original(lambda_runtime, "_NODEJS_WORKER_SCRIPT")
    before = 'status: "error", error: String(err.message || err), trace: err.stack || ""'
    if script.count(before) != 1:
        sys.exit("shims.py: the Node worker of this ministack is another one; adapt the shims to the pinned version")
    lambda_runtime._NODEJS_WORKER_SCRIPT = script.replace(before, before + ', errorType: err.name || "Error"')

    said = threading.local()
    invoke = original(lambda_runtime.Worker, "invoke")
    execute = original(lambda_svc, "_execute_function_warm")

    def noting_invoke(self, *args, **kwargs):
        result = invoke(self, *args, **kwargs)
        said.name = result.get("errorType") if result.get("status") == "error" else None
        return result

    def naming_execute(func, event, request_id):
        said.name = None
        result = execute(func, event, request_id)
        if said.name and result.get("error") and isinstance(result.get("body"), dict):
            result["body"]["errorType"] = said.name
        return result

    lambda_runtime.Worker.invoke = noting_invoke
    lambda_svc._execute_function_warm = naming_execute


def executions_call_functions_over_the_network():
    """Step Functions calls a function over the network: an answer may be lost after the function has done its work, which the
    execution sees as Lambda.SdkClientException. The emulator calls it in its own process, where nothing can be lost; here the
    call takes the way that AWS_ENDPOINT_URL_LAMBDA names. A function that fails also fails a state that waits for a token;
    the emulator swallows that error and waits on."""
    original(stepfunctions, "_call_lambda")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_LAMBDA")
    error = original(stepfunctions, "_ExecutionError")
    # Longer than any function may run; a state's own TimeoutSeconds ends its wait before.
    limit_seconds = 900

    def answer_of(request):
        try:
            with urllib.request.urlopen(request, timeout=limit_seconds) as response:
                return response.read(), response.headers.get("X-Amz-Function-Error")
        except urllib.error.HTTPError as refusal:
            name = (refusal.headers.get("x-amzn-errortype") or "Unknown").split(":")[0]
            raise error(f"Lambda.{name}", refusal.read().decode()) from None
        except (OSError, http.client.HTTPException) as lost:
            raise error("Lambda.SdkClientException", f"the answer was lost: {lost}") from None

    def call(function, event):
        credential = f"test/20260101/{stepfunctions.get_region()}/lambda/aws4_request"
        request = urllib.request.Request(
            f"{endpoint}/2015-03-31/functions/{urllib.parse.quote(function, safe='')}/invocations",
            data=json.dumps(event).encode(), method="POST",
            headers={"Content-Type": "application/json",
                     "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=none"})
        body, failed = answer_of(request)
        parsed = json.loads(body) if body else None
        if failed:
            name = parsed.get("errorType") if isinstance(parsed, dict) else None
            raise error(name or "Lambda.Unknown", body.decode())
        return parsed

    waiting_for = contextvars.ContextVar("token", default=None)
    invoke_with_callback = original(stepfunctions, "_invoke_with_callback")

    def call_or_tell(function, event):
        try:
            return call(function, event)
        except error as failure:
            waiter = stepfunctions._task_tokens.get(waiting_for.get())
            if waiter is not None and not waiter["event"].is_set():
                waiter["error"] = {"Error": failure.error, "Cause": failure.cause}
                waiter["event"].set()
            raise

    def failing_with_callback(resource, input_data, token, state_def):
        reset = waiting_for.set(token)
        try:
            return invoke_with_callback(resource, input_data, token, state_def)
        finally:
            waiting_for.reset(reset)

    if endpoint:
        stepfunctions._call_lambda = call_or_tell
        stepfunctions._invoke_with_callback = failing_with_callback


def occurrence_after(expression, zone, start, after):
    """The first nominal time later than `after` and not before `start`, or None; all of them aware datetimes."""
    once = scheduler._at_time_epoch(expression)
    if once is not None:
        local = datetime.fromtimestamp(once, tz=timezone.utc).replace(tzinfo=zone)
        return local if local > after else None
    interval = eventbridge._parse_rate_seconds(expression)
    if interval is not None:
        passed = (after - start).total_seconds()
        number = 0 if passed < 0 else int(passed // interval) + 1
        return start + timedelta(seconds=number * interval)
    fields = eventbridge._parse_cron_fields(expression)
    if fields is None:
        return None
    base = max(after, start - timedelta(seconds=1)).astimezone(zone)
    # It looks only at whole minutes, from the next one on.
    return eventbridge._cron_next_fire(fields, base)


def scheduler_fires_at_nominal_times():
    """EventBridge Scheduler fires every occurrence from StartDate on, in the schedule's time zone, within the minute, and puts
    the nominal time in place of <aws.scheduler.scheduled-time>. The emulator swallows a cron's first occurrence after StartDate,
    counts a rate from the schedule's creation, knows only UTC, never fires a changed `at` again and substitutes nothing. Its
    store, its API and its way to a target are kept; the decision when to fire is replaced by this one."""
    original(scheduler, "_tick_schedules")
    handled = {}
    scheduler._SCHEDULE_TICK_INTERVAL = 1

    def moment(value, fallback):
        epoch = scheduler._to_epoch(value)
        return datetime.fromtimestamp(fallback if epoch is None else epoch, tz=timezone.utc)

    def fire(key, record, nominal):
        account, region, _ = key
        stamp = nominal.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        target = dict(record.get("Target") or {})
        target["Input"] = str(target.get("Input") or "{}").replace("<aws.scheduler.scheduled-time>", stamp)
        scheduler.set_request_account_id(account)
        scheduler.set_request_region(region)
        event = {"EventId": scheduler.new_uuid(), "Source": "aws.scheduler", "DetailType": "Scheduled Event",
                 "Detail": "{}", "Time": nominal.timestamp(), "Resources": [record["Arn"]],
                 "Account": account, "Region": region}
        eventbridge._invoke_target(target, event, record)

    def tick():
        now = datetime.now(timezone.utc)
        for key, record in list(scheduler._schedules._data.items()):
            zone = ZoneInfo(record.get("ScheduleExpressionTimezone") or "UTC")
            start = moment(record.get("StartDate"), record["CreationDate"])
            # A new specification starts from its own time; what was due before it is not made up for. A rate without a
            # StartDate fires at once.
            changed = moment(None, record["LastModificationDate"]) - timedelta(microseconds=1)
            seen, last = handled.get(key, (None, None))
            if seen != changed:
                last = max(changed, last) if last else changed
            nominal = occurrence_after(record["ScheduleExpression"], zone, start, last)
            handled[key] = (changed, last)
            end = scheduler._to_epoch(record.get("EndDate"))
            ended = nominal is None or (end is not None and nominal.timestamp() > end)
            if ended or record.get("State") != "ENABLED" or nominal > now:
                continue
            handled[key] = (changed, nominal)
            fire(key, record, nominal)
            if record.get("ActionAfterCompletion") == "DELETE" and scheduler._at_time_epoch(record["ScheduleExpression"]):
                scheduler._schedules._data.pop(key, None)

    scheduler._tick_schedules = tick


def instances_show_their_user_data():
    """DescribeInstanceAttribute answers an instance's user data. The emulator keeps it and answers nothing."""
    describe = original(ec2, "_describe_instance_attribute")

    def with_user_data(params):
        answer = describe(params)
        instance = ec2._instances.get(ec2._p(params, "InstanceId"))
        if ec2._p(params, "Attribute") != "userData" or not instance or not instance.get("UserData"):
            return answer
        value = f"<userData><value>{ec2._esc(instance['UserData'])}</value></userData>".encode()
        status, headers, body = answer
        return status, headers, (body if isinstance(body, bytes) else body.encode()).replace(b"<userData/>", value)

    ec2._describe_instance_attribute = with_user_data
    table = next((value for value in vars(ec2).values()
                  if isinstance(value, dict) and value.get("DescribeInstanceAttribute") is describe), None)
    if table is None:
        sys.exit("shims.py: ec2's table of actions is not found; adapt the shims to the pinned version")
    table["DescribeInstanceAttribute"] = with_user_data


def ended_instances_stay_visible():
    """EC2 shows a terminated instance for about an hour. The emulator forgets it within a minute, and Candor rightly does not
    take an id that it has just launched and cannot see for an ended one."""
    original(ec2, "_cleanup_terminated")
    ec2._cleanup_terminated = lambda: None


def alarms_may_compute():
    """CloudWatch alarms may watch an expression over metrics. The emulator refuses such an alarm, and with it the stack; here it
    is created as an alarm of the first metric. It evaluates none of them in earnest either way."""
    record = original(provisioners, "_cw_metric_alarm_record")

    def simplified(name, props):
        stats = [each["MetricStat"] for each in props.get("Metrics") or [] if each.get("MetricStat")]
        if not stats:
            return record(name, props)
        metric = stats[0]["Metric"]
        plain = {key: value for key, value in props.items() if key != "Metrics"}
        plain.update(MetricName=metric["MetricName"], Namespace=metric["Namespace"],
                     Period=int(stats[0].get("Period", 60)), Statistic="Sum")
        return record(name, plain)

    provisioners._cw_metric_alarm_record = simplified


def what_only_people_look_at_is_taken_as_it_is():
    """Composite alarms and saved queries do nothing here; the emulator does not know their types, and would refuse the stack."""
    handlers = original(provisioners, "_RESOURCE_HANDLERS")

    def create(logical_id, props, stack_name):
        return props.get("AlarmName") or logical_id, {"Arn": "arn:aws:cloudwatch:us-east-1:000000000000:alarm:" + logical_id}

    for kind in ("AWS::CloudWatch::CompositeAlarm", "AWS::Logs::QueryDefinition"):
        handlers.setdefault(kind, {"create": create,
                                   "update": lambda physical_id, *rest: (physical_id, {}),
                                   "delete": lambda *args: None})


def secrets_are_known_by_their_arn():
    """CloudFormation's Ref of a secret is its ARN, from which a template may take the name. The emulator's is the name."""
    handlers = original(provisioners, "_RESOURCE_HANDLERS")["AWS::SecretsManager::Secret"]
    create, update, delete = handlers["create"], handlers["update"], handlers["delete"]

    def name_of(physical_id):
        return physical_id.split(":secret:")[-1][:-7] if physical_id.startswith("arn:") else physical_id

    def by_arn(result):
        name, attributes = result
        return attributes.get("Arn") or provisioners._sm._secrets[name]["ARN"], attributes

    handlers["create"] = lambda *args: by_arn(create(*args))
    handlers["update"] = lambda physical_id, *rest: by_arn(update(name_of(physical_id), *rest))
    handlers["delete"] = lambda physical_id, *rest: delete(name_of(physical_id), *rest)


def generated_secrets_keep_to_their_alphabet():
    """GenerateSecretString leaves out the kinds of characters that it is told to. The emulator knows ExcludeCharacters alone."""
    generate = original(provisioners, "_sm_secret_string")
    kinds = {"ExcludePunctuation": string.punctuation, "ExcludeNumbers": string.digits,
             "ExcludeUppercase": string.ascii_uppercase, "ExcludeLowercase": string.ascii_lowercase}

    def within_alphabet(props):
        how = dict(props.get("GenerateSecretString") or {})
        if not how:
            return generate(props)
        left_out = "".join(characters for kind, characters in kinds.items() if str(how.get(kind)).lower() == "true")
        how["ExcludeCharacters"] = how.get("ExcludeCharacters", "") + left_out
        return generate({**props, "GenerateSecretString": how})

    provisioners._sm_secret_string = within_alphabet


if __name__ == "__main__":
    secrets_are_known_by_their_arn()
    generated_secrets_keep_to_their_alphabet()
    lambda_errors_keep_their_names()
    executions_call_functions_over_the_network()
    scheduler_fires_at_nominal_times()
    instances_show_their_user_data()
    ended_instances_stay_visible()
    alarms_may_compute()
    what_only_people_look_at_is_taken_as_it_is()
    from ministack.app import main

    main()
