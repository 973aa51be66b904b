/** For an AWS emulator on this machine (`npm run test:aws`): its account and an image of its own making. */
import type { EnvironmentInput } from './schema.ts';

export const emulator: EnvironmentInput = {
  account: '000000000000',
  region: 'us-east-1',
  network: { kind: 'created', availabilityZones: ['us-east-1a', 'us-east-1b', 'us-east-1c'] },
  pools: [
    {
      architecture: 'x86_64',
      instanceTypes: [
        { type: 't3.medium', vcpu: 2, memoryMiB: 4096 },
        // Scenarios in which capacity is short take one of these each (test/aws/scenarios/capacity.ts).
        ...['m6i.large', 'm5.large', 'c6i.large', 'r6i.large'].map((type) => ({ type, vcpu: 2, memoryMiB: 8192 })),
      ],
    },
  ],
  vm: { images: { x86_64: { amiId: 'ami-12345678' } } },
  // One client asks in everybody's name, as often as it can.
  limits: { maxRequestsPerMinute: 60_000 },
  retention: { logObjectsDays: 14, functionLogsDays: 1, keepData: false },
  features: { dashboard: false },
  tags: { 'cost-center': '4711' },
};
