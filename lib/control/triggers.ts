/** What calls the functions that nobody asks for: the table's stream, the minute, the end of an execution. */
import { Duration } from 'aws-cdk-lib';
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { CfnEventSourceMapping } from 'aws-cdk-lib/aws-lambda';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import { WATCHDOG_INTERVAL_SECONDS } from '../../config/schema.ts';
import { DELIVERY_PREFIX, EVENT_PREFIX, NOTE_PREFIX, OCCURRENCE_PREFIX } from '../../core/table/keys.ts';
import type { CandorStack } from '../stacks/candorStack.ts';
import type { CandorFunction } from './function.ts';

/** Events and notes, as they are appended, and entries of ledgers: those prove that the clock fires. All other writes wake nobody. */
const STREAM_FILTER = {
  eventName: ['INSERT'],
  dynamodb: { Keys: { sk: { S: [EVENT_PREFIX, NOTE_PREFIX, OCCURRENCE_PREFIX].map((prefix) => ({ prefix })) } } },
};

function allowStream(target: CandorFunction, table: Table): string {
  const streamArn = table.tableStreamArn;
  if (streamArn === undefined) throw new Error('the table has no stream');
  const read = ['dynamodb:DescribeStream', 'dynamodb:GetRecords', 'dynamodb:GetShardIterator'];
  target.allow('ReadStream', read, [streamArn]);
  // Lambda's poller lists streams, and DynamoDB ties that right to no single one.
  target.allow('ListStreams', ['dynamodb:ListStreams'], ['*']);
  return streamArn;
}

/** Deliveries, as they are made. A shard takes two readers; this is the second one. */
const DELIVERY_FILTER = {
  eventName: ['INSERT'],
  dynamodb: { Keys: { pk: { S: [{ prefix: DELIVERY_PREFIX }] } } },
};

export function sendAsTheyCome(stack: CandorStack, deliver: CandorFunction, table: Table): void {
  const mapping = new CfnEventSourceMapping(stack, 'DeliveryMapping', {
    functionName: deliver.lambda.functionName,
    eventSourceArn: allowStream(deliver, table),
    startingPosition: 'LATEST',
    batchSize: 16,
    // An endpoint that answers slowly holds up one batch in ten.
    parallelizationFactor: 10,
    filterCriteria: { filters: [{ pattern: JSON.stringify(DELIVERY_FILTER) }] },
    // What is not sent here is due in the index, and sent within a minute: nothing is lost, so nothing need be kept.
    maximumRetryAttempts: 0,
    maximumRecordAgeInSeconds: 60,
  });
  mapping.node.addDependency(deliver.role);
}

export function consumeStream(stack: CandorStack, events: CandorFunction, table: Table, failures: Queue): void {
  const streamArn = allowStream(events, table);
  events.allow('GiveUp', ['sqs:SendMessage'], [failures.queueArn]);
  const mapping = new CfnEventSourceMapping(stack, 'StreamMapping', {
    functionName: events.lambda.functionName,
    eventSourceArn: streamArn,
    startingPosition: 'TRIM_HORIZON',
    batchSize: 100,
    filterCriteria: { filters: [{ pattern: JSON.stringify(STREAM_FILTER) }] },
    functionResponseTypes: ['ReportBatchItemFailures'],
    // A record that never succeeds is found, and put aside after a while: those behind it must not wait for ever.
    bisectBatchOnFunctionError: true,
    maximumRetryAttempts: 20,
    maximumRecordAgeInSeconds: Duration.hours(6).toSeconds(),
    destinationConfig: { onFailure: { destination: failures.queueArn } },
  });
  mapping.node.addDependency(events.role);
}

export function tickEveryMinute(stack: CandorStack, watchdog: CandorFunction): void {
  new Rule(stack, 'EveryMinute', {
    ruleName: `${stack.installation.id}-watchdog`,
    description: 'The tick of Candor’s watchdog',
    schedule: Schedule.rate(Duration.seconds(WATCHDOG_INTERVAL_SECONDS)),
    // A tick that could not be delivered is not worth a second try: the next one looks at the same.
    targets: [new LambdaFunction(watchdog.lambda, { retryAttempts: 0, maxEventAge: Duration.minutes(1) })],
  });
}

export function sendEveryMinute(stack: CandorStack, deliver: CandorFunction): void {
  new Rule(stack, 'EveryMinuteToo', {
    ruleName: `${stack.installation.id}-deliver`,
    description: 'Webhook deliveries that are to be tried again',
    schedule: Schedule.rate(Duration.minutes(1)),
    targets: [new LambdaFunction(deliver.lambda, { retryAttempts: 0, maxEventAge: Duration.minutes(1) })],
  });
}

/** One audit an hour, in as many calls as it takes: a call finds what the last one has left, or that it is not time yet. */
export function auditEveryQuarter(stack: CandorStack, audit: CandorFunction): void {
  new Rule(stack, 'EveryQuarter', {
    ruleName: `${stack.installation.id}-audit`,
    description: 'The next slice of Candor’s audit of itself',
    schedule: Schedule.rate(Duration.minutes(15)),
    targets: [new LambdaFunction(audit.lambda, { retryAttempts: 0, maxEventAge: Duration.minutes(15) })],
  });
}

export function hearOfEnds(stack: CandorStack, ended: CandorFunction, machine: StateMachine, failures: Queue): void {
  new Rule(stack, 'ExecutionEnded', {
    ruleName: `${stack.installation.id}-execution-ended`,
    description: 'Executions of provision-vm that did not succeed: the line behind their own Catch',
    eventPattern: {
      source: ['aws.states'],
      detailType: ['Step Functions Execution Status Change'],
      detail: { stateMachineArn: [machine.stateMachineArn], status: ['FAILED', 'TIMED_OUT', 'ABORTED'] },
    },
    targets: [
      new LambdaFunction(ended.lambda, {
        deadLetterQueue: failures,
        retryAttempts: 185,
        maxEventAge: Duration.hours(24),
      }),
    ],
  });
}
