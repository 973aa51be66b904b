/**
 * Where VMs are launched, as whom, with what. The VMs themselves are no resources of a stack, and their launch template stands in
 * the control stack: it knows the API's address, and the API's stack knows this one.
 */
import { Validations } from 'aws-cdk-lib';
import type { CfnInstanceProfile, Role } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { addVmAssets, type VmAssets } from '../fleet/assets.ts';
import { createNetwork, type Network } from '../fleet/network.ts';
import { createVmIdentity } from '../fleet/role.ts';
import { CandorStack, type Installation } from './candorStack.ts';

export class FleetStack extends CandorStack {
  readonly network: Network;
  readonly vmRole: Role;
  readonly instanceProfile: CfnInstanceProfile;
  readonly assets: VmAssets;

  constructor(scope: Construct, installation: Installation) {
    super(scope, 'fleet', installation, 'Candor: network and identity of VMs');
    const { config } = installation;
    Validations.of(this).acknowledge({
      id: 'CloudFormation-Validate::W3010',
      reason: 'The zones are the environment’s own choice, and nothing is looked up at synthesis.',
    });
    this.network = createNetwork(this);
    this.assets = addVmAssets(this, config);
    const { role, instanceProfile } = createVmIdentity(this, this.assets);
    this.vmRole = role;
    this.instanceProfile = instanceProfile;
  }
}
