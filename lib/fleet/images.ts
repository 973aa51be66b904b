/** What VMs boot. */
import { MachineImage } from 'aws-cdk-lib/aws-ec2';
import type { Architecture } from '../../config/schema.ts';
import type { CandorStack } from '../stacks/candorStack.ts';
import { architecturesOf } from './assets.ts';

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
