/** What every VM is launched from. */
import { Fn } from 'aws-cdk-lib';
import { CfnLaunchTemplate, MachineImage } from 'aws-cdk-lib/aws-ec2';
import type { CfnInstanceProfile } from 'aws-cdk-lib/aws-iam';
import type { Architecture } from '../../config/schema.ts';
import { CoreConfig } from '../../core/config.ts';
import { userDataText } from '../boot/userData.ts';
import type { CandorStack } from '../stacks/candorStack.ts';
import { TAGS } from '../tags.ts';
import { architecturesOf, type VmAssets } from './assets.ts';
import type { Network } from './network.ts';

/** The image of each architecture: as it stands when this is deployed, and until the next deploy. */
export function imagesOf(stack: CandorStack): Readonly<Partial<Record<Architecture, string>>> {
  const { config } = stack.installation;
  const entries = architecturesOf(config).flatMap((architecture) => {
    const image = config.vm.images[architecture];
    if (image === undefined) return [];
    const imageId =
      'amiId' in image ? image.amiId : MachineImage.fromSsmParameter(image.ssmParameter).getImage(stack).imageId;
    return [[architecture, imageId] as const];
  });
  return Object.fromEntries(entries);
}

export interface LaunchTemplateOptions {
  readonly network: Network;
  readonly instanceProfile: CfnInstanceProfile;
  readonly assets: VmAssets;
  /** Of whichever architecture; each pool names its own. */
  readonly imageId: string;
}

export function createLaunchTemplate(stack: CandorStack, options: LaunchTemplateOptions): CfnLaunchTemplate {
  const { config, id } = stack.installation;
  const { network } = options;
  const { selfDestructSeconds } = CoreConfig.parse(config.limits);
  const boot = { ...options.assets, selfDestructSeconds, egressAllowList: config.vm.egressAllowList };
  const tags = [
    { key: TAGS.installation, value: id },
    { key: 'Name', value: `${id}-vm` },
  ];
  return new CfnLaunchTemplate(stack, 'LaunchTemplate', {
    tagSpecifications: [{ resourceType: 'launch-template', tags }],
    launchTemplateData: {
      imageId: options.imageId,
      iamInstanceProfile: { arn: options.instanceProfile.attrArn },
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
