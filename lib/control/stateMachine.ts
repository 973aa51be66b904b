/** `provision-vm`, from the very file that `candor dev` interprets; only the functions' ARNs are put into it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Effect, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { DefinitionBody, LogLevel, StateMachine, StateMachineType } from 'aws-cdk-lib/aws-stepfunctions';
import { ROOT } from '../bundle/paths.ts';
import type { CandorStack } from '../stacks/candorStack.ts';
import type { CandorFunction } from './function.ts';
import { stateMachineNameOf } from './surroundings.ts';

export const ASL_FILE = path.join(ROOT, 'state-machines', 'provision-vm.asl.json');

/** Placeholder in the file → the function whose ARN it stands for. */
export const SUBSTITUTIONS = {
  LaunchVmFunctionArn: 'launch-vm',
  AwaitReadyFunctionArn: 'await-ready',
  DispatchRunFunctionArn: 'dispatch-run',
  ReleaseVmFunctionArn: 'release-vm',
  FailRunFunctionArn: 'fail-run',
} as const;

export function createStateMachine(stack: CandorStack, functionNamed: (name: string) => CandorFunction): StateMachine {
  const substitutions = Object.entries(SUBSTITUTIONS).map(
    ([placeholder, name]) => [placeholder, functionNamed(name).lambda.functionArn] as const,
  );
  const { partition, region, account, installation } = stack;
  const stateMachineName = stateMachineNameOf(stack);
  const role = new Role(stack, 'StateMachineRole', {
    description: `Candor ${installation.id}: provision-vm`,
    assumedBy: new ServicePrincipal('states.amazonaws.com', {
      conditions: {
        StringEquals: { 'aws:SourceAccount': account },
        ArnEquals: { 'aws:SourceArn': `arn:${partition}:states:${region}:${account}:stateMachine:${stateMachineName}` },
      },
    }),
  });
  role.addToPolicy(
    new PolicyStatement({
      sid: 'ItsStates',
      effect: Effect.ALLOW,
      actions: ['lambda:InvokeFunction'],
      resources: substitutions.map(([, arn]) => arn),
    }),
  );
  return new StateMachine(stack, 'ProvisionVm', {
    stateMachineName,
    stateMachineType: StateMachineType.STANDARD,
    definitionBody: DefinitionBody.fromString(readFileSync(ASL_FILE, 'utf8')),
    definitionSubstitutions: Object.fromEntries(substitutions),
    role,
    // Only failures, and never what was handed over: task tokens are in it.
    logs: {
      destination: new LogGroup(stack, 'StateMachineLog', {
        logGroupName: `/aws/vendedlogs/states/${stateMachineName}`,
        retention: stack.logRetention,
        removalPolicy: stack.dataRemoval,
      }),
      level: LogLevel.ERROR,
      includeExecutionData: false,
    },
  });
}
