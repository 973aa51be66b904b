/** Who hears of trouble, and what counts as trouble. */
import { CfnOutput } from 'aws-cdk-lib';
import { Effect, PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { type ITopic, Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Construct } from 'constructs';
import { createAlarms } from '../ops/alarms.ts';
import { createDashboard } from '../ops/dashboard.ts';
import { CandorStack, type Installation } from './candorStack.ts';
import type { ControlStack } from './control.ts';
import type { DataStack } from './data.ts';

export class OpsStack extends CandorStack {
  constructor(scope: Construct, installation: Installation, data: DataStack, control: ControlStack) {
    super(scope, 'ops', installation, 'Candor: alarms, their topic, a dashboard');
    const { alarms: targets, features } = installation.config;
    const topic = new Topic(this, 'Alarms', {
      displayName: `Candor ${installation.id}`,
      enforceSSL: true,
      ...(data.key !== undefined && { masterKey: data.key }),
    });
    // A policy of the topic's own stands in place of the one that lets the account's alarms in.
    topic.addToResourcePolicy(
      new PolicyStatement({
        sid: 'AlarmsOfThisAccount',
        effect: Effect.ALLOW,
        principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['sns:Publish'],
        resources: [topic.topicArn],
        conditions: { StringEquals: { 'aws:SourceAccount': this.account } },
      }),
    );
    // CloudWatch cannot publish to a topic under a key that it may not use.
    if (data.key !== undefined) allowAlarms(this, data.key);
    for (const email of targets.emails) topic.addSubscription(new EmailSubscription(email));
    const others = targets.topicArns.map((arn, index) => Topic.fromTopicArn(this, `Target${index}`, arn));
    const topics: readonly ITopic[] = [topic as ITopic, ...others];
    const alarms = createAlarms(this, control, topics);
    if (features.dashboard) createDashboard(this, data, control, alarms);
    new CfnOutput(this, 'AlarmTopic', { value: topic.topicArn });
  }
}

function allowAlarms(stack: CandorStack, key: IKey): void {
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
