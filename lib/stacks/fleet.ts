/** What VMs are launched from and into. The VMs themselves are no resources of a stack. */
import { CfnOutput, Validations } from 'aws-cdk-lib';
import type { CfnLaunchTemplate } from 'aws-cdk-lib/aws-ec2';
import type { Role } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import type { Architecture, PoolConfig } from '../../config/schema.ts';
import { addVmAssets } from '../fleet/assets.ts';
import { createLaunchTemplate, imagesOf } from '../fleet/launchTemplate.ts';
import { createNetwork, type Network } from '../fleet/network.ts';
import { createVmIdentity } from '../fleet/role.ts';
import { CandorStack, type Installation } from './candorStack.ts';

/** One subnet with the instance types that may be launched there: an element of `CANDOR_POOLS`. */
export interface Pool {
  readonly subnetId: string;
  readonly availabilityZone: string;
  readonly architecture: Architecture;
  readonly imageId: string;
  readonly instanceTypes: PoolConfig['instanceTypes'];
  readonly markets: PoolConfig['markets'];
}

export class FleetStack extends CandorStack {
  readonly network: Network;
  readonly vmRole: Role;
  readonly launchTemplate: CfnLaunchTemplate;
  readonly pools: readonly Pool[];

  constructor(scope: Construct, installation: Installation) {
    super(scope, 'fleet', installation, 'Candor: network and launch template of VMs');
    const { config } = installation;
    Validations.of(this).acknowledge({
      id: 'CloudFormation-Validate::W3010',
      reason: 'The zones are the environment’s own choice, and nothing is looked up at synthesis.',
    });
    this.network = createNetwork(this);
    const assets = addVmAssets(this, config);
    const { role, instanceProfile } = createVmIdentity(this, assets);
    this.vmRole = role;
    const images = imagesOf(this);
    const imageOf = (architecture: Architecture): string => {
      const imageId = images[architecture];
      if (imageId === undefined) throw new Error(`the configuration was taken without an image for ${architecture}`);
      return imageId;
    };
    const [first] = config.pools;
    if (first === undefined) throw new Error('the configuration was taken without a pool');
    const imageId = imageOf(first.architecture);
    this.launchTemplate = createLaunchTemplate(this, { network: this.network, instanceProfile, assets, imageId });
    this.pools = config.pools.flatMap((pool) =>
      this.network.subnets
        .filter(({ availabilityZone }) => pool.availabilityZones?.includes(availabilityZone) ?? true)
        .map(({ subnetId, availabilityZone }) => ({
          subnetId,
          availabilityZone,
          architecture: pool.architecture,
          imageId: imageOf(pool.architecture),
          instanceTypes: pool.instanceTypes,
          markets: pool.markets,
        })),
    );
    new CfnOutput(this, 'LaunchTemplateId', { value: this.launchTemplate.ref });
  }
}
