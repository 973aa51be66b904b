/** As production, smaller: private addresses, data kept. The account is an example: put yours. */
import { AMAZON_LINUX, GENERAL_ARM, GENERAL_X86 } from './pools.ts';
import type { EnvironmentInput } from './schema.ts';

export const staging: EnvironmentInput = {
  account: '111122223333',
  region: 'eu-central-1',
  network: {
    kind: 'created',
    cidr: '10.65.0.0/16',
    availabilityZones: ['eu-central-1a', 'eu-central-1b', 'eu-central-1c'],
    natGateways: 1,
  },
  pools: [GENERAL_ARM, GENERAL_X86],
  vm: { images: AMAZON_LINUX, ssm: true },
  limits: { maxConcurrentVmsPerTenant: 50 },
  retention: { logObjectsDays: 30 },
};
