/** EventBridge Scheduler: one group per installation, and the role with which its schedules call `fire`. */
import { Effect, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnScheduleGroup } from 'aws-cdk-lib/aws-scheduler';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import type { CandorStack } from '../stacks/candorStack.ts';
import type { CandorFunction } from './function.ts';
import type { ClockParts } from './surroundings.ts';

export function createClock(stack: CandorStack, fire: CandorFunction, deadLetters: Queue): ClockParts {
  const { partition, region, account, installation } = stack;
  const group = new CfnScheduleGroup(stack, 'ScheduleGroup', { name: installation.id });
  const arn = (resource: string) => `arn:${partition}:scheduler:${region}:${account}:${resource}`;
  const role = new Role(stack, 'ScheduleRole', {
    description: `Candor ${installation.id}: schedules call fire`,
    // Without these, anybody's schedule could be made to call with this role.
    assumedBy: new ServicePrincipal('scheduler.amazonaws.com', {
      conditions: {
        StringEquals: { 'aws:SourceAccount': account, 'aws:SourceArn': arn(`schedule-group/${installation.id}`) },
      },
    }),
  });
  const allow = (sid: string, action: string, resource: string) =>
    role.addToPolicy(new PolicyStatement({ sid, effect: Effect.ALLOW, actions: [action], resources: [resource] }));
  allow('Fire', 'lambda:InvokeFunction', fire.lambda.functionArn);
  allow('GiveUp', 'sqs:SendMessage', deadLetters.queueArn);
  return {
    groupName: group.ref,
    role,
    deadLetters,
    fireArn: fire.lambda.functionArn,
    scheduleArns: arn(`schedule/${installation.id}/*`),
  };
}
