/** Who hears of alarms: a topic for each severity, and the environment's own ones. */
import { Effect, PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { type ITopic, Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { CandorStack } from '../stacks/candorStack.ts';
import type { Severity } from './alarm.ts';

export interface Target {
  /** The installation's own. */
  readonly topic: Topic;
  readonly all: readonly ITopic[];
}

const CONSTRUCTS = { page: 'Alarms', ticket: 'Tickets' } as const satisfies Record<Severity, string>;

export function createTarget(stack: CandorStack, severity: Severity, key: IKey | undefined): Target {
  const { id, config } = stack.installation;
  const { alarms } = config;
  const topic = new Topic(stack, CONSTRUCTS[severity], {
    displayName: `Candor ${id}: ${severity}s`,
    enforceSSL: true,
    ...(key !== undefined && { masterKey: key }),
  });
  // A policy of the topic's own stands in place of the one that lets the account's alarms in.
  topic.addToResourcePolicy(
    new PolicyStatement({
      sid: 'AlarmsOfThisAccount',
      effect: Effect.ALLOW,
      principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
      actions: ['sns:Publish'],
      resources: [topic.topicArn],
      conditions: { StringEquals: { 'aws:SourceAccount': stack.account } },
    }),
  );
  const emails = new Set([...alarms.emails, ...alarms[severity].emails]);
  for (const email of emails) topic.addSubscription(new EmailSubscription(email));
  const others = [...new Set([...alarms.topicArns, ...alarms[severity].topicArns])].map((arn, index) =>
    Topic.fromTopicArn(stack, `${CONSTRUCTS[severity]}Target${index}`, arn),
  );
  return { topic, all: [topic, ...others] };
}

/** CloudWatch cannot publish to a topic under a key that it may not use. */
export function allowAlarms(stack: CandorStack, key: IKey): void {
  key.addToResourcePolicy(
    new PolicyStatement({
      sid: 'AlarmsToTheTopic',
      effect: Effect.ALLOW,
      principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
      actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
      resources: ['*'],
      conditions: { StringEquals: { 'aws:SourceAccount': stack.account } },
    }),
  );
}
