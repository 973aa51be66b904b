/** Where VMs may be launched: each subnet with the types that are wanted in it. */
import type { Architecture, PoolConfig } from '../../config/schema.ts';
import type { CandorStack } from '../stacks/candorStack.ts';
import { imagesOf } from './images.ts';
import type { Network } from './network.ts';

/** One subnet with the instance types that may be launched there: an element of `CANDOR_POOLS`. */
export interface Pool {
  readonly subnetId: string;
  readonly availabilityZone: string;
  readonly architecture: Architecture;
  readonly imageId: string;
  readonly rootDevice: string;
  readonly instanceTypes: PoolConfig['instanceTypes'];
  readonly markets: PoolConfig['markets'];
}

/**
 * @param stack the one that uses them: an image that AWS names by a parameter changes with its releases, and a value that
 * another stack imports could not
 */
export function poolsOf(stack: CandorStack, network: Network): readonly Pool[] {
  const { config } = stack.installation;
  const images = imagesOf(stack);
  const imageOf = (architecture: Architecture): string => {
    const imageId = images[architecture];
    if (imageId === undefined) throw new Error(`the configuration was taken without an image for ${architecture}`);
    return imageId;
  };
  return config.pools.flatMap((pool) =>
    network.subnets
      .filter(({ availabilityZone }) => pool.availabilityZones?.includes(availabilityZone) ?? true)
      .map(({ subnetId, availabilityZone }) => ({
        subnetId,
        availabilityZone,
        architecture: pool.architecture,
        imageId: imageOf(pool.architecture),
        rootDevice: config.vm.rootDeviceName,
        instanceTypes: pool.instanceTypes,
        markets: pool.markets,
      })),
  );
}
