/** Where what could not be delivered stays, until somebody has looked at it. */
import { Duration } from 'aws-cdk-lib';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import type { CandorStack } from '../stacks/candorStack.ts';
import type { DEAD_LETTERS } from './deadLetters.ts';

export type DeadLetters = Readonly<Record<(typeof DEAD_LETTERS)[number], Queue>>;

export function createDeadLetters(stack: CandorStack): DeadLetters {
  const queue = (name: string) =>
    new Queue(stack, `${name}-dead-letters`, {
      queueName: `${stack.installation.id}-${name}-dead-letters`,
      retentionPeriod: Duration.days(14),
      // The services that write here could not use a key of ours without rights on it; these are references and events.
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
    });
  return {
    schedule: queue('schedule'),
    fire: queue('fire'),
    events: queue('events'),
    'execution-ended': queue('execution-ended'),
  };
}
