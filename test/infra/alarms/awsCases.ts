/**
 * Alarms over what AWS measures itself: its data points are put in by hand, under the names and dimensions of AWS's
 * documentation, as often as AWS would. What this shows is that the alarm is right, not that AWS says so.
 */
import type { MetricId } from '../../support/cloudwatch/data.ts';
import { functionsOf, type Synthesized } from '../support.ts';
import { deployed } from './definitions.ts';
import type { AlarmCase } from './ownCases.ts';
import type { Play } from './play.ts';

/** Names and dimensions as documented: Lambda, SQS, Step Functions, API Gateway (HTTP APIs), EventBridge Scheduler, DynamoDB. */
export const AWS_METRICS: Readonly<
  Record<string, { readonly dimensions: readonly string[]; readonly names: readonly string[] }>
> = {
  'AWS/Lambda': {
    dimensions: ['FunctionName'],
    names: ['Invocations', 'Errors', 'Throttles', 'Duration', 'ConcurrentExecutions', 'IteratorAge'],
  },
  'AWS/SQS': {
    dimensions: ['QueueName'],
    names: [
      'ApproximateNumberOfMessagesVisible',
      'ApproximateNumberOfMessagesNotVisible',
      'ApproximateAgeOfOldestMessage',
      'NumberOfMessagesSent',
      'NumberOfMessagesDeleted',
    ],
  },
  'AWS/States': {
    dimensions: ['StateMachineArn'],
    names: [
      'ExecutionsStarted',
      'ExecutionsSucceeded',
      'ExecutionsFailed',
      'ExecutionsTimedOut',
      'ExecutionsAborted',
      'ExecutionThrottled',
      'ExecutionTime',
    ],
  },
  'AWS/ApiGateway': {
    dimensions: ['ApiId'],
    names: ['Count', '4xx', '5xx', 'Latency', 'IntegrationLatency', 'DataProcessed'],
  },
  'AWS/Scheduler': {
    dimensions: ['ScheduleGroup'],
    names: [
      'InvocationAttemptCount',
      'TargetErrorCount',
      'TargetErrorThrottledCount',
      'InvocationThrottleCount',
      'InvocationDroppedCount',
      'InvocationsSentToDeadLetterCount',
      'InvocationsFailedToBeSentToDeadLetterCount',
    ],
  },
  'AWS/DynamoDB': {
    dimensions: ['TableName'],
    names: ['ConsumedReadCapacityUnits', 'ConsumedWriteCapacityUnits'],
  },
};

/** Undefined where AWS documents such a metric. */
export function undocumented({ namespace, name, dimensions }: MetricId): string | undefined {
  const documented = AWS_METRICS[namespace];
  if (documented === undefined) return `${namespace} is no namespace that is known here`;
  if (!documented.names.includes(name)) return `${namespace} has no ${name}`;
  const given = Object.keys(dimensions).sort().join();
  return given === documented.dimensions.join()
    ? undefined
    : `${name} has ${documented.dimensions.join()}, not ${given}`;
}

interface Fed {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
  /** Of each minute. */
  readonly value: number;
}

/** So much a minute for so long; then nothing but what AWS goes on to say while all is well. */
/** Letters lie for three days; who peeks at them every hour hides them for a while, and does nothing about them. */
const left = (visible: (count: number) => Fed): AlarmCase => {
  let quarter = 0;
  const say = (play: Play, counts: readonly number[]) => () => {
    const { namespace, name, dimensions, value } = visible(counts[quarter++ % counts.length] ?? 0);
    play.aws(namespace, name, dimensions, value);
  };
  return {
    breach: (play) => play.hours(74, say(play, [0, 1, 1, 1])),
    clear: (play) => play.hours(3, say(play, [0])),
  };
};

const fed = (bad: readonly Fed[], minutes: number, good: readonly Fed[], clearMinutes: number): AlarmCase => {
  const put = (play: Play, what: readonly Fed[]) => () => {
    for (const { namespace, name, dimensions, value } of what) play.aws(namespace, name, dimensions, value);
  };
  return {
    breach: (play) => play.minutes(minutes, put(play, bad)),
    clear: (play) => play.minutes(clearMinutes, put(play, good)),
  };
};

/** Lambda, API Gateway and SQS say 0 while they are used; Step Functions and Scheduler say nothing. */
export function awsCases(stacks: Synthesized, installation: string): Readonly<Record<string, AlarmCase>> {
  const { control } = stacks;
  const functions = functionsOf(stacks, installation);
  const of = (name: string) => {
    const found = functions.get(name);
    if (found === undefined) throw new Error(`there is no function ${name}`);
    return { FunctionName: String(found.Properties.FunctionName) };
  };
  const lambda = (name: string, metric: string, value: number): Fed => ({
    namespace: 'AWS/Lambda',
    name: metric,
    dimensions: of(name),
    value,
  });
  const queueIds = control.ofType('AWS::SQS::Queue').map(({ id }) => id);
  const queue = (name: string, metric: string, value: number): Fed => {
    const id = queueIds.find((each) => each.startsWith(`${name.replaceAll('-', '')}deadletters`));
    if (id === undefined) throw new Error(`there is no queue for ${name} among ${queueIds.join()}`);
    return { namespace: 'AWS/SQS', name: metric, dimensions: { QueueName: `<${id}.QueueName>` }, value };
  };
  const machine = { StateMachineArn: `<${control.one('AWS::StepFunctions::StateMachine').id}>` };
  const states = (metric: string, value: number): Fed => ({
    namespace: 'AWS/States',
    name: metric,
    dimensions: machine,
    value,
  });
  const api = { ApiId: `<${control.one('AWS::ApiGatewayV2::Api').id}>` };
  const gateway = (metric: string, value: number): Fed => ({
    namespace: 'AWS/ApiGateway',
    name: metric,
    dimensions: api,
    value,
  });
  const group = deployed(stacks, control, control.one('AWS::Scheduler::ScheduleGroup').Properties.Name);
  const scheduler = (name: string): Fed => ({
    namespace: 'AWS/Scheduler',
    name,
    dimensions: { ScheduleGroup: group },
    value: 1,
  });
  // A call that was given up and has its letter is that queue's alarm.
  const kept = ['InvocationDroppedCount', 'InvocationsSentToDeadLetterCount'].map(scheduler);
  const lost = [scheduler('InvocationDroppedCount'), scheduler('InvocationsFailedToBeSentToDeadLetterCount')];
  const errors = (name: string) => fed([lambda(name, 'Errors', 1)], 11, [lambda(name, 'Errors', 0)], 6);
  const letters = (name: string): Readonly<Record<string, AlarmCase>> => {
    const visible = (count: number) => queue(name, 'ApproximateNumberOfMessagesVisible', count);
    return {
      [`${name}-dead-letters`]: fed([visible(1)], 1, [visible(0)], 1),
      [`${name}-dead-letters-old`]: left(visible),
    };
  };
  return {
    'clock-dropped': fed(lost, 1, kept, 6),
    'executions-failed': fed([states('ExecutionsFailed', 1)], 3, [], 6),
    'executions-timed-out': fed([states('ExecutionsTimedOut', 1)], 1, [], 6),
    'api-5xx': fed([gateway('Count', 20), gateway('5xx', 2)], 3, [gateway('Count', 20), gateway('5xx', 0)], 6),
    'events-behind': fed([lambda('events', 'IteratorAge', 300_000)], 5, [lambda('events', 'IteratorAge', 900)], 1),
    ...Object.fromEntries(
      ['fire', 'events', 'execution-ended', 'register'].map((name) => [`${name}-errors`, errors(name)]),
    ),
    ...letters('schedule'),
    ...letters('fire'),
    ...letters('events'),
    ...letters('execution-ended'),
  };
}
