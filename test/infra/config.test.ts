/** The configuration of an environment: what is wrong is named, with what to write instead. */
import { describe, expect, it } from 'vitest';
import { ConfigError, ENVIRONMENTS, environmentNamed, validated } from '../../config/environments.ts';
import { baseInput } from './support.ts';

const complaint = (change: Record<string, unknown>): string => {
  try {
    validated('test', { ...baseInput(), ...change });
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return 'taken';
};

describe('the environments', () => {
  it.each(Object.keys(ENVIRONMENTS))('%s is valid', (name) => {
    expect(environmentNamed(name).pools.length).toBeGreaterThan(0);
  });

  it('names those there are to who asks for another one, or none', () => {
    expect(() => environmentNamed('production')).toThrow(/no environment production.*dev, staging, prod, emulator/);
    expect(() => environmentNamed(undefined)).toThrow(/-c env=NAME.*dev, staging, prod, emulator/);
    expect(() => environmentNamed('toString')).toThrow(/no environment toString/);
  });
});

describe('a configuration', () => {
  it('is refused with the field and the remedy', () => {
    const pool = { architecture: 'arm64', instanceTypes: [{ type: 't4g.medium', vcpu: 2, memoryMiB: 4096 }] };
    const cases: readonly [Record<string, unknown>, RegExp][] = [
      [{ account: '12' }, /account: give twelve digits/],
      [{ account: 'current', production: true }, /account: production names its account/],
      [{ region: 'Frankfurt' }, /region: name a region, such as/],
      [{ network: {} }, /network\.kind: give network.kind: created or imported/],
      [{ network: { kind: 'created', availabilityZones: [] } }, /network.availabilityZones: name at least one/],
      [{ network: { kind: 'created', availabilityZones: ['us-east-1a'] } }, /us-east-1a is not in eu-central-1/],
      [{ network: { kind: 'imported', vpcId: 'x', subnets: [] } }, /network.vpcId: give the id of the VPC/],
      [{ pools: [] }, /pools: describe at least one pool/],
      [{ pools: [{ ...pool, instanceTypes: [] }] }, /pools\[0\].instanceTypes: name at least one/],
      [{ pools: [{ ...pool, architecture: 'x86_64' }] }, /pools\[0\].architecture: vm.images has none for x86_64/],
      [{ pools: [{ ...pool, availabilityZones: ['eu-central-1c'] }] }, /eu-central-1c has no subnet/],
      [{ pools: Array.from({ length: 20 }, () => pool) }, /pools: come to about \d+ bytes/],
      [{ limits: { leaseSeconds: 5 } }, /limits.heartbeatIdleSeconds: must be less than leaseSeconds/],
      [{ limits: { lease: 5 } }, /limits.lease: is no setting/],
      [{ limits: { pollEvents: true } }, /limits.pollEvents: is for one machine/],
      [{ retention: { logObjectsDays: 1, functionLogsDays: 1 } }, /retention.logObjectsDays: must be longer/],
      [{ production: true, retention: { keepData: false } }, /retention.keepData: production keeps its data/],
      [{ alarms: { emails: ['nobody'] } }, /alarms.emails\[0\]: give an e-mail address/],
      [{ alarms: { page: { topicArns: ['pager'] } } }, /alarms.page.topicArns\[0\]: give the ARN of an SNS topic/],
      [{ alarms: { opsItems: { page: 5 } } }, /alarms.opsItems.page: give 1 \(critical\) to 4 \(low\)/],
      [{ alarms: { runbooksUrl: 'docs' } }, /alarms.runbooksUrl: give the address of the folder/],
      [{ alarms: { thresholds: { lateness: 1 } } }, /alarms.thresholds: does not know lateness/],
      [{ alarms: { thresholds: { deadLetterAgeHours: 500 } } }, /deadLetterAgeHours: give hours, at most 300/],
      [
        { alarms: { thresholds: { fireLatenessSeconds: 60 } } },
        /fireLatenessSeconds: must be more than limits.clockPrecisionSeconds \(60\)/,
      ],
      [{ domain: { name: 'candor', certificateArn: 'arn:aws:acm:x' } }, /domain.name: give the full name/],
      [{ vm: { images: { arm64: {} } } }, /vm.images.arm64: give either amiId or ssmParameter/],
      [{ vm: { ...baseInput().vm, nodeBinary: { kind: 'url', archives: {} } } }, /archives: has none for arm64/],
      [{ regoin: 'x' }, /does not know regoin/],
    ];
    for (const [change, expected] of cases) expect(complaint(change)).toMatch(expected);
  });

  it('names every mistake at once, and the file', () => {
    const text = complaint({ account: '1', region: 'x' });
    expect(text).toMatch(/^config\/test.ts is not valid:/);
    expect(text).toMatch(/account/);
    expect(text).toMatch(/region/);
  });
});
