/** Production: its own key, a NAT gateway in every zone, termination protection. Account and address are examples: put yours. */
import { AMAZON_LINUX, GENERAL_ARM, GENERAL_X86 } from './pools.ts';
import type { EnvironmentInput } from './schema.ts';

export const prod: EnvironmentInput = {
  account: '444455556666',
  region: 'eu-central-1',
  production: true,
  network: {
    kind: 'created',
    cidr: '10.66.0.0/16',
    availabilityZones: ['eu-central-1a', 'eu-central-1b', 'eu-central-1c'],
    natGateways: 3,
  },
  pools: [GENERAL_ARM, GENERAL_X86],
  vm: { images: AMAZON_LINUX },
  limits: { maxConcurrentVmsPerTenant: 200 },
  retention: { functionLogsDays: 365 },
  features: { customerManagedKey: true },
  alarms: { emails: ['on-call@example.com'] },
};
