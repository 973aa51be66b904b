/**
 * What rights refer to. The ARN of the state machine is made from its name, not read from it: the functions that it calls
 * start it again, and neither could be created first.
 */

import type { CfnLaunchTemplate } from 'aws-cdk-lib/aws-ec2';
import type { Role } from 'aws-cdk-lib/aws-iam';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import { indexNames } from '../data/table.ts';
import type { Pool } from '../fleet/pools.ts';
import type { CandorStack } from '../stacks/candorStack.ts';
import type { DataStack } from '../stacks/data.ts';
import type { FleetStack } from '../stacks/fleet.ts';
import { TAGS } from '../tags.ts';

type Condition = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface ClockParts {
  readonly groupName: string;
  readonly role: Role;
  readonly deadLetters: Queue;
  readonly fireArn: string;
  readonly scheduleArns: string;
}

export interface FleetParts extends Pick<FleetStack, 'network' | 'vmRole'> {
  readonly pools: readonly Pool[];
  readonly launchTemplate: CfnLaunchTemplate;
}

export interface Surroundings {
  readonly stack: CandorStack;
  readonly data: DataStack;
  readonly fleet: FleetParts;
  readonly clock: ClockParts;
  /** Overrides of the core's limits, as JSON. */
  readonly limits: string;
  readonly stateMachineArn: string;
  readonly executionArns: string;
  readonly indexArns: readonly string[];
  readonly agentSecretArns: string;
  readonly ec2: (resource: string) => string;
  /** Of any account. */
  readonly ec2Anywhere: (resource: string) => string;
  readonly inRegion: Condition;
  /** What exists carries this installation's tag. */
  readonly ownResource: Condition;
  /** What is asked for will carry it. */
  readonly ownRequest: { readonly StringEquals: Readonly<Record<string, string>> };
}

export const stateMachineNameOf = (stack: CandorStack): string => `${stack.installation.id}-provision-vm`;

export function surroundings(stack: CandorStack, parts: Pick<Surroundings, 'data' | 'fleet' | 'clock'>): Surroundings {
  const { partition, region, account, installation } = stack;
  const arn = (service: string, rest: string) => `arn:${partition}:${service}:${region}:${account}:${rest}`;
  const name = stateMachineNameOf(stack);
  return {
    ...parts,
    stack,
    limits: JSON.stringify(installation.config.limits),
    stateMachineArn: arn('states', `stateMachine:${name}`),
    executionArns: arn('states', `execution:${name}:*`),
    indexArns: indexNames().map((index) => `${parts.data.table.tableArn}/index/${index}`),
    agentSecretArns: arn('secretsmanager', `secret:${parts.data.secretPrefix}*`),
    ec2: (resource) => arn('ec2', resource),
    ec2Anywhere: (resource) => `arn:${partition}:ec2:${region}:*:${resource}`,
    inRegion: { StringEquals: { 'aws:RequestedRegion': region } },
    ownResource: { StringEquals: { [`ec2:ResourceTag/${TAGS.installation}`]: installation.id } },
    ownRequest: { StringEquals: { [`aws:RequestTag/${TAGS.installation}`]: installation.id } },
  };
}
