/** Where an installation may launch VMs, and which of these places suit what an agent needs. Pure. */
import * as z from 'zod';
import { ARCHITECTURES, MARKETS, type Market, type Needs } from '../../core/contract/agentParts.ts';
import type { LaunchNeeds, LaunchPool } from '../../core/ports.ts';

const InstanceType = z.object({
  type: z.string().min(1),
  vcpu: z.int().min(1),
  memoryMiB: z.int().min(1),
});

/** One subnet, the types that are wanted in it in order, and the markets that may be used. */
export const PoolConfig = z.object({
  subnetId: z.string().min(1),
  availabilityZone: z.string().min(1),
  architecture: z.enum(ARCHITECTURES),
  instanceTypes: z.array(InstanceType).min(1),
  markets: z.array(z.enum(MARKETS)).min(1),
  /** Where this architecture has a launch template, or an image, of its own. */
  launchTemplateId: z.string().min(1).optional(),
  imageId: z.string().min(1).optional(),
  /** The name of the root volume in the image: Ubuntu's is /dev/sda1. */
  rootDevice: z.string().min(1).optional(),
});
export type PoolConfig = z.output<typeof PoolConfig>;

/** Of Amazon Linux and of Debian. */
const ROOT_DEVICE = '/dev/xvda';

/** The first type of every subnet, then the second: so that each zone gets its turn before a less wanted type does. */
export function poolsFor(
  configs: readonly PoolConfig[],
  template: { readonly id: string; readonly version: string },
  needs: LaunchNeeds,
  market: Market,
): readonly LaunchPool[] {
  const found = configs
    .filter((config) => config.markets.includes(market) && config.architecture === architectureOf(configs, needs))
    .flatMap((config) =>
      config.instanceTypes.flatMap((instance, rank) =>
        suits(instance, needs) ? [{ config, instance, rank: rankOf(needs, instance.type) ?? rank }] : [],
      ),
    );
  return found
    .sort((left, right) => left.rank - right.rank || left.instance.vcpu - right.instance.vcpu)
    .map(({ config: { subnetId, availabilityZone, launchTemplateId, imageId, rootDevice }, instance: { type } }) => ({
      type,
      availabilityZone,
      subnetId,
      template: launchTemplateId === undefined ? template : { id: launchTemplateId, version: template.version },
      ...(imageId !== undefined && { imageId }),
      // An image of the agent's own stands above the installation's.
      ...(needs.image !== undefined && { imageId: needs.image }),
      ...(needs.diskGiB !== undefined && { disk: { device: rootDevice ?? ROOT_DEVICE, sizeGiB: needs.diskGiB } }),
    }));
}

/** Without a word of the agent it is that of the first pool: a program for one architecture does not run on another. */
const architectureOf = (configs: readonly PoolConfig[], needs: Needs) => needs.architecture ?? configs[0]?.architecture;

function suits({ type, vcpu, memoryMiB }: z.output<typeof InstanceType>, needs: Needs): boolean {
  if (needs.instanceTypes !== undefined && !needs.instanceTypes.includes(type)) return false;
  return vcpu >= (needs.vcpu ?? 0) && memoryMiB >= (needs.memoryMiB ?? 0);
}

/** An agent that names types names them in its order. */
function rankOf({ instanceTypes }: Needs, type: string): number | undefined {
  return instanceTypes?.indexOf(type);
}

/** The markets that come into question, the preferred one first: the agent's word, or else the installation's order. */
export function marketsFor(configs: readonly PoolConfig[], { market }: Needs): readonly Market[] {
  if (market === 'spot_first') return ['spot', 'on_demand'];
  return market === undefined ? [...new Set(configs.flatMap((config) => config.markets))] : [market];
}
