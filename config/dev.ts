/** For trying things out: the account of whoever deploys, no NAT, nothing kept when it is destroyed. */
import { AMAZON_LINUX, GENERAL_ARM, GENERAL_X86 } from './pools.ts';
import type { EnvironmentInput } from './schema.ts';

export const dev: EnvironmentInput = {
  account: 'current',
  region: 'eu-central-1',
  network: { kind: 'created', availabilityZones: ['eu-central-1a', 'eu-central-1b', 'eu-central-1c'] },
  pools: [GENERAL_ARM, GENERAL_X86],
  vm: { images: AMAZON_LINUX, ssm: true },
  limits: { maxConcurrentVmsPerTenant: 20 },
  retention: { logObjectsDays: 14, functionLogsDays: 7, keepData: false },
};
