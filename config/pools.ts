/** Instance types that the environments share. More types and zones make a shortage of capacity rarer. */
import type { EnvironmentInput } from './schema.ts';

type PoolInput = EnvironmentInput['pools'][number];

export const GENERAL_ARM: PoolInput = {
  architecture: 'arm64',
  instanceTypes: [
    { type: 't4g.medium', vcpu: 2, memoryMiB: 4096 },
    { type: 'm7g.large', vcpu: 2, memoryMiB: 8192 },
    { type: 'm6g.large', vcpu: 2, memoryMiB: 8192 },
    { type: 'm7g.xlarge', vcpu: 4, memoryMiB: 16_384 },
  ],
};

export const GENERAL_X86: PoolInput = {
  architecture: 'x86_64',
  instanceTypes: [
    { type: 't3.medium', vcpu: 2, memoryMiB: 4096 },
    { type: 'm7i.large', vcpu: 2, memoryMiB: 8192 },
    { type: 'm6i.large', vcpu: 2, memoryMiB: 8192 },
    { type: 'm7i.xlarge', vcpu: 4, memoryMiB: 16_384 },
  ],
};

/** Amazon Linux 2023, as AWS publishes it; the one that stands at the time of a deploy is what VMs boot. */
export const AMAZON_LINUX = {
  arm64: { ssmParameter: '/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64' },
  x86_64: { ssmParameter: '/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64' },
} as const;
