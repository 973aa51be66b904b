/**
 * Finds out on a real AWS account what EventBridge Scheduler does where its documentation is silent, and compares it with
 * our rules (`core/cadence`, "unverified on AWS"):
 *
 *   node scripts/probe-scheduler.ts start    [--timezone Europe/Berlin] [--name candor-probe]
 *   node scripts/probe-scheduler.ts accepts  [--name candor-probe]
 *   node scripts/probe-scheduler.ts report   [--name candor-probe]
 *   node scripts/probe-scheduler.ts clean    [--name candor-probe]
 *
 * `start` creates a queue, a role, a schedule group and a few schedules that fire around the zone's next change of the
 * clock (shown first; schedules outside that hour do nothing). `report`, after the change and within four days of it, reads
 * the queue and says for each schedule when it fired and what we had expected; messages stay in the queue. `accepts` asks
 * which undocumented expressions are accepted, with disabled schedules. `clean` deletes everything that the others created.
 * It costs a fraction of a cent. The `aws` command does the calls (credentials and Region as it is configured), so that
 * nothing is added to package.json.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { toAwsExpression } from '../core/cadence/aws.ts';
import { occurrences } from '../core/cadence/occurrences.ts';
import { localText, type OffsetChange, offsetChanges } from '../core/cadence/zone.ts';
import type { Cadence } from '../core/schedules/model.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const RETENTION_SECONDS = 345_600;
/** A role that was just created is not yet known everywhere. */
const ROLE_WAIT_MS = 15_000;

interface Probe {
  readonly name: string;
  readonly cadence: Cadence;
  readonly startAt: number;
  readonly endAt: number;
}

class Refusal extends Error {
  override readonly name = 'Refusal';
}

function aws(args: readonly string[]): string {
  const result = spawnSync('aws', [...args, '--output', 'json'], { encoding: 'utf8' });
  if (result.error !== undefined)
    throw new Refusal('This script needs the AWS CLI (`aws`, version 2) and credentials for a scratch account.');
  if (result.status !== 0) throw new Refusal(`aws ${args.slice(0, 2).join(' ')}: ${result.stderr.trim()}`);
  return result.stdout;
}

const awsJson = <Answer>(args: readonly string[]): Answer => JSON.parse(aws(args) || '{}') as Answer;

/** What is already gone, or already there, is no failure. */
function awsUnless(code: RegExp, args: readonly string[]): void {
  try {
    aws(args);
  } catch (error) {
    if (!(error instanceof Refusal) || !code.test(error.message)) throw error;
  }
}

/** Far enough ahead for the daily rate, which begins twelve hours before the change. */
function nextChange(timezone: string, now: number): OffsetChange {
  for (const change of offsetChanges(timezone, now + 13 * HOUR_MS, now + 366 * DAY_MS)) return change;
  throw new Refusal(`The clock of ${timezone} does not change within a year: choose another --timezone.`);
}

/** Five-minute, hourly and daily crons over the hour that is skipped or repeated, a daily rate, and a single time. */
function probesAround(change: OffsetChange, timezone: string): readonly Probe[] {
  const early = change.at + Math.min(change.before, change.after);
  const hour = new Date(early).getUTCHours();
  const [startAt, endAt] = [change.at - 2 * HOUR_MS, change.at + 4 * HOUR_MS];
  const cron = (name: string, expression: string): Probe => ({
    name,
    cadence: { kind: 'cron', cron: expression, timezone },
    startAt,
    endAt,
  });
  const every: Cadence = { kind: 'every', everySeconds: 86_400, startAt: change.at - 12 * HOUR_MS };
  return [
    cron('five-minutes', '*/5 * * * *'),
    cron('hourly', '30 * * * *'),
    cron('daily', `30 ${hour} * * *`),
    { name: 'rate-day', cadence: every, startAt: every.startAt, endAt: change.at + 2 * DAY_MS },
    // Written in local time on purpose: `toAwsExpression` would avoid the ambiguity.
    { name: 'at-local', cadence: { kind: 'at', at: change.at + HOUR_MS / 2, timezone }, startAt, endAt },
  ];
}

interface Place {
  readonly queueUrl: string;
  readonly queueArn: string;
  readonly roleArn: string;
}

function createPlace(name: string): Place {
  const account = awsJson<{ Account: string }>(['sts', 'get-caller-identity']).Account;
  const attributes = JSON.stringify({ MessageRetentionPeriod: String(RETENTION_SECONDS) });
  const queueUrl = awsJson<{ QueueUrl: string }>([
    'sqs',
    'create-queue',
    '--queue-name',
    name,
    '--attributes',
    attributes,
  ]).QueueUrl;
  const queueArn = queueArnOf(queueUrl);
  const trust = {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { Service: 'scheduler.amazonaws.com' },
        Action: 'sts:AssumeRole',
        Condition: { StringEquals: { 'aws:SourceAccount': account } },
      },
    ],
  };
  const exists = /EntityAlreadyExists|ConflictException/;
  awsUnless(exists, [
    'iam',
    'create-role',
    '--role-name',
    name,
    '--assume-role-policy-document',
    JSON.stringify(trust),
  ]);
  const policy = {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: 'sqs:SendMessage', Resource: queueArn }],
  };
  aws([
    'iam',
    'put-role-policy',
    '--role-name',
    name,
    '--policy-name',
    'send',
    '--policy-document',
    JSON.stringify(policy),
  ]);
  awsUnless(exists, ['scheduler', 'create-schedule-group', '--name', name]);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ROLE_WAIT_MS);
  return { queueUrl, queueArn, roleArn: `arn:${queueArn.split(':')[1]}:iam::${account}:role/${name}` };
}

const queueUrlOf = (name: string) =>
  awsJson<{ QueueUrl: string }>(['sqs', 'get-queue-url', '--queue-name', name]).QueueUrl;

function queueArnOf(queueUrl: string): string {
  const args = ['sqs', 'get-queue-attributes', '--queue-url', queueUrl, '--attribute-names', 'QueueArn'];
  return awsJson<{ Attributes: { QueueArn: string } }>(args).Attributes.QueueArn;
}

interface NewSchedule {
  readonly name: string;
  readonly expression: string;
  readonly timezone: string;
  readonly startAt?: number;
  readonly endAt?: number;
  readonly state: 'ENABLED' | 'DISABLED';
  readonly input: string;
}

function createSchedule(group: string, place: Place, schedule: NewSchedule): void {
  const date = (at: number) => new Date(at).toISOString().slice(0, 19);
  const request = {
    Name: schedule.name,
    GroupName: group,
    ScheduleExpression: schedule.expression,
    ScheduleExpressionTimezone: schedule.timezone,
    ...(schedule.startAt !== undefined && { StartDate: `${date(schedule.startAt)}Z` }),
    ...(schedule.endAt !== undefined && { EndDate: `${date(schedule.endAt)}Z` }),
    State: schedule.state,
    FlexibleTimeWindow: { Mode: 'OFF' },
    Target: { Arn: place.queueArn, RoleArn: place.roleArn, Input: schedule.input },
  };
  aws(['scheduler', 'create-schedule', '--cli-input-json', JSON.stringify(request)]);
}

function start(name: string, timezone: string): void {
  const now = Date.now();
  const change = nextChange(timezone, now);
  print(
    `The clock of ${timezone} changes at ${localText(change.at, timezone)}, by ${(change.after - change.before) / 60_000} min.`,
  );
  const place = createPlace(name);
  for (const probe of probesAround(change, timezone)) {
    const answer = toAwsExpression(probe.cadence);
    if (!answer.ok) throw new Refusal(`${probe.name}: ${answer.problem}`);
    const local = probe.cadence.kind === 'at' ? localAt(probe.cadence.at, timezone) : answer;
    const isOnce = probe.cadence.kind === 'at';
    const input = JSON.stringify({
      probe,
      scheduledFor: '<aws.scheduler.scheduled-time>',
      attempt: '<aws.scheduler.attempt-number>',
    });
    const dates = isOnce ? {} : { startAt: probe.startAt, endAt: probe.endAt };
    createSchedule(name, place, { name: probe.name, ...local, ...dates, state: 'ENABLED', input });
    print(`created ${probe.name}: ${local.expression} in ${local.timezone}`);
  }
  print(
    `Run "report" between ${new Date(change.at + 4 * HOUR_MS).toISOString()} and four days after the change, then "clean".`,
  );
}

function localAt(at: number, timezone: string): { expression: string; timezone: string } {
  return { expression: `at(${localText(at, timezone).slice(0, 19)})`, timezone };
}

/** Expressions whose meaning is clear from Quartz, but which AWS does not document. */
const UNDOCUMENTED = [
  'cron(0 9 LW * ? *)',
  'cron(0 9 L-3 * ? *)',
  'cron(0 9 1,L * ? *)',
  'cron(0 9 1W,15W * ? *)',
  'cron(0 9 ? * 2/2 *)',
  'cron(0 9 ? * 2L,6L *)',
  'cron(0 9 ? * FRI-MON *)',
  'cron(0 9 ? * fri *)',
  'cron(*/90 * * * ? *)',
  'cron(0 0 31W * ? *)',
];

function accepts(name: string): void {
  const place = createPlace(name);
  UNDOCUMENTED.forEach((expression, index) => {
    const schedule = { name: `accepts-${index}`, expression, timezone: 'UTC', state: 'DISABLED', input: '{}' } as const;
    try {
      createSchedule(name, place, schedule);
      print(`accepted  ${expression}`);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      print(`${/ValidationException/.test(error.message) ? 'refused ' : 'unclear '}  ${expression}: ${error.message}`);
    }
  });
}

interface Message {
  readonly Body: string;
  readonly Attributes: { readonly SentTimestamp: string };
}

interface Fired {
  readonly probe: Probe;
  readonly scheduledFor: string;
  readonly attempt: string;
}

/** Reads without deleting: what was read is hidden for a minute and a half, longer than this takes. */
function messagesOf(queueUrl: string): readonly Message[] {
  const found: Message[] = [];
  const args = ['sqs', 'receive-message', '--queue-url', queueUrl, '--max-number-of-messages', '10'];
  for (let empty = 0; empty < 3; ) {
    const options = ['--wait-time-seconds', '2', '--visibility-timeout', '90', '--attribute-names', 'SentTimestamp'];
    const messages = awsJson<{ Messages?: readonly Message[] }>([...args, ...options]).Messages ?? [];
    empty = messages.length === 0 ? empty + 1 : 0;
    found.push(...messages);
  }
  return found;
}

function report(name: string): void {
  const fires = messagesOf(queueUrlOf(name)).map(({ Body, Attributes }) => ({
    ...(JSON.parse(Body) as Fired),
    sentAt: Number(Attributes.SentTimestamp),
  }));
  if (fires.length === 0)
    throw new Refusal('Nothing has fired yet, or the messages were just read: try again in two minutes.');
  const probes = new Map(fires.map(({ probe }) => [probe.name, probe]));
  for (const probe of probes.values()) {
    const own = fires
      .filter((fire) => fire.probe.name === probe.name)
      .sort((left, right) => left.sentAt - right.sentAt);
    const fired = [...new Set(own.map(({ scheduledFor }) => Date.parse(scheduledFor)))].sort(
      (left, right) => left - right,
    );
    const expected = occurrences(probe.cadence, probe.startAt - 1, 1000, probe.endAt - 1);
    const timezone = probe.cadence.kind === 'every' ? 'UTC' : (probe.cadence.timezone ?? 'UTC');
    const list = (times: readonly number[]) =>
      times.map((at) => `    ${localText(at, timezone)}`).join('\n') || '    none';
    print(`${probe.name}: ${own.length} deliveries of ${fired.length} times, ${expected.length} expected`);
    print(`  only on AWS:\n${list(fired.filter((at) => !expected.includes(at)))}`);
    print(`  only by our rule:\n${list(expected.filter((at) => !fired.includes(at)))}`);
  }
  print('A probe that is missing above has never fired: that, too, is an answer.');
}

function clean(name: string): void {
  const gone = /ResourceNotFound|NoSuchEntity|NonExistentQueue|does not exist/i;
  awsUnless(gone, ['scheduler', 'delete-schedule-group', '--name', name]);
  awsUnless(gone, ['iam', 'delete-role-policy', '--role-name', name, '--policy-name', 'send']);
  awsUnless(gone, ['iam', 'delete-role', '--role-name', name]);
  try {
    aws(['sqs', 'delete-queue', '--queue-url', queueUrlOf(name)]);
  } catch (error) {
    if (!(error instanceof Refusal) || !gone.test(error.message)) throw error;
  }
  print(`deleted the schedule group, role and queue ${name}`);
}

const print = (line: string) => process.stdout.write(`${line}\n`);

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      timezone: { type: 'string', default: 'Europe/Berlin' },
      name: { type: 'string', default: 'candor-probe' },
    },
  });
  const commands: Readonly<Record<string, () => void>> = {
    start: () => start(values.name, values.timezone),
    accepts: () => accepts(values.name),
    report: () => report(values.name),
    clean: () => clean(values.name),
  };
  const command = commands[positionals[0] ?? ''];
  if (command === undefined)
    throw new Refusal(
      `usage: node scripts/probe-scheduler.ts ${Object.keys(commands).join('|')} [--timezone ZONE] [--name NAME]`,
    );
  command();
}

try {
  main();
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
