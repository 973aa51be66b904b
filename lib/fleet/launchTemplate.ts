/** What every VM is launched from. */
import { Fn } from 'aws-cdk-lib';
import { CfnLaunchTemplate } from 'aws-cdk-lib/aws-ec2';
import { CoreConfig } from '../../core/config.ts';
import { userDataText } from '../boot/userData.ts';
import type { CandorStack } from '../stacks/candorStack.ts';
import type { FleetStack } from '../stacks/fleet.ts';
import { TAGS } from '../tags.ts';
import type { Pool } from './pools.ts';

/** @param apiUrl where its runner registers */
export function createLaunchTemplate(
  stack: CandorStack,
  fleet: FleetStack,
  pools: readonly Pool[],
  apiUrl: string,
): CfnLaunchTemplate {
  const { config, id } = stack.installation;
  const { network, assets, instanceProfile } = fleet;
  const { selfDestructSeconds } = CoreConfig.parse(config.limits);
  const boot = { ...assets, apiUrl, selfDestructSeconds, egressAllowList: config.vm.egressAllowList };
  const own = { [TAGS.installation]: id, Name: `${id}-vm` };
  const tags = Object.entries({ ...config.tags, ...own }).map(([key, value]) => ({ key, value }));
  return new CfnLaunchTemplate(stack, 'LaunchTemplate', {
    tagSpecifications: [{ resourceType: 'launch-template', tags }],
    launchTemplateData: {
      // Each pool names its own. Whoever launches by hand with this one gets an instance that bears our tag and names no VM:
      // the watchdog takes it for a stray, and terminates it within ten minutes or so.
      ...(pools[0] !== undefined && { imageId: pools[0].imageId }),
      iamInstanceProfile: { arn: instanceProfile.attrArn },
      // The VM's own way out of this world: whatever powers it off, ends it.
      instanceInitiatedShutdownBehavior: 'terminate',
      metadataOptions: {
        httpEndpoint: 'enabled',
        httpTokens: 'required',
        httpPutResponseHopLimit: 1,
        httpProtocolIpv6: 'disabled',
        instanceMetadataTags: 'enabled',
      },
      networkInterfaces: [
        {
          deviceIndex: 0,
          associatePublicIpAddress: network.publicAddresses,
          deleteOnTermination: true,
          groups: [network.securityGroup.securityGroupId],
        },
      ],
      blockDeviceMappings: [
        {
          deviceName: config.vm.rootDeviceName,
          ebs: { encrypted: true, volumeType: 'gp3', volumeSize: config.vm.diskGiB, deleteOnTermination: true },
        },
      ],
      // Rights to launch and to end are tied to these.
      tagSpecifications: ['instance', 'volume', 'network-interface'].map((resourceType) => ({ resourceType, tags })),
      userData: Fn.base64(userDataText(boot, (document) => stack.toJsonString(document))),
    },
  });
}
