/** The rights of a VM: to register, and to fetch what it runs. */
import {
  CfnInstanceProfile,
  Effect,
  ManagedPolicy,
  PolicyStatement,
  Role,
  ServicePrincipal,
} from 'aws-cdk-lib/aws-iam';
import type { CandorStack } from '../stacks/candorStack.ts';
import type { VmAssets } from './assets.ts';

export interface VmIdentity {
  /** The control stack adds the right to register, because it has the API. */
  readonly role: Role;
  readonly instanceProfile: CfnInstanceProfile;
}

export function createVmIdentity(stack: CandorStack, assets: VmAssets): VmIdentity {
  const role = new Role(stack, 'VmRole', {
    assumedBy: new ServicePrincipal('ec2.amazonaws.com'),
    description: `Candor ${stack.installation.id}: VMs`,
  });
  role.addToPolicy(
    new PolicyStatement({
      sid: 'FetchWhatItRuns',
      effect: Effect.ALLOW,
      actions: ['s3:GetObject'],
      resources: [...assets.objectArns],
    }),
  );
  if (stack.installation.config.vm.ssm)
    role.addManagedPolicy(ManagedPolicy.fromAwsManagedPolicyName('AmazonSSMManagedInstanceCore'));
  const instanceProfile = new CfnInstanceProfile(stack, 'VmProfile', { roles: [role.roleName] });
  return { role, instanceProfile };
}
