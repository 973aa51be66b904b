/** The configuration of an environment: what is wrong is named, with what to write instead. */
import { describe, expect, it } from 'vitest';
import { ConfigError, ENVIRONMENTS, environmentNamed, validated } from '../../config/environments.ts';
import { AMAZON_LINUX } from '../../config/pools.ts';
import { CoreConfig } from '../../core/config.ts';
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
      [{ pools: Array.from({ length: 20 }, () => pool) }, /pools: .* name fewer instance types/],
      [{ tags: { 'cost center': '1' } }, /tags.*: name a tag with letters, digits and/],
      [{ tags: { Name: 'x' } }, /tags.*: name a tag .* and not Name/],
      [{ tags: { 'candor:vm': 'x' } }, /tags.*: name a tag .* candor:/],
      [{ tags: { 'AWS:x': 'x' } }, /tags.*: name a tag .* aws:/],
      [{ tags: Object.fromEntries(Array.from({ length: 41 }, (_, i) => [`t${i}`, ''])) }, /tags: are 41, 40 fit/],
      [
        { vm: { images: AMAZON_LINUX, egressAllowList: [{ cidr: '10.0.0.0/8', ports: [443] }] } },
        /vm.egressAllowList: needs nft/,
      ],
      [{ limits: { leaseSeconds: 5 } }, /limits.heartbeatIdleSeconds: must be less than leaseSeconds/],
      [{ limits: { lease: 5 } }, /limits.lease: is no setting/],
      [{ limits: { watchdogIntervalSeconds: 20 } }, /limits.watchdogIntervalSeconds: must be 60/],
      [{ limits: { watchdogIntervalSeconds: 300 } }, /limits.watchdogIntervalSeconds: must be 60/],
      [{ limits: { pollEvents: true } }, /limits.pollEvents: is for one machine/],
      [{ limits: { sweepsGarbage: true } }, /limits.sweepsGarbage: is for one machine/],
      [{ limits: { maxRequestsPerMinute: 0.5 } }, /limits.maxRequestsPerMinute: must be a whole number, 0 or greater/],
      [{ throttle: { requestsPerSecond: 1 } }, /throttle.requestsPerSecond: give at least 10/],
      [
        { throttle: { requestsPerSecond: 100 }, limits: { maxConcurrentVmsPerTenant: 200 } },
        /throttle.requestsPerSecond: must be at least 200: 200 VMs send a heartbeat every 2 s/,
      ],
      [{ retention: { logObjectsDays: 1, functionLogsDays: 1 } }, /retention.logObjectsDays: must be longer/],
      [{ production: true, retention: { keepData: false } }, /retention.keepData: production keeps its data/],
      [{ alarms: { emails: ['nobody'] } }, /alarms.emails\[0\]: give an e-mail address/],
      [{ alarms: { page: { topicArns: ['pager'] } } }, /alarms.page.topicArns\[0\]: give the ARN of an SNS topic/],
      [{ alarms: { opsItems: { page: 5 } } }, /alarms.opsItems.page: give 1 \(critical\) to 4 \(low\)/],
      [{ alarms: { runbooksUrl: 'docs' } }, /alarms.runbooksUrl: give the address of the folder/],
      [{ alarms: { thresholds: { lateness: 1 } } }, /alarms.thresholds: does not know lateness/],
      [{ alarms: { thresholds: { deadLetterAgeHours: 169 } } }, /deadLetterAgeHours: give hours, at most 168/],
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

  it('has room in the functions’ variables for pools, limits and tags together', () => {
    // None of these is too large by itself.
    const instanceTypes = Array.from({ length: 45 }, () => ({ type: 'm7g.large', vcpu: 2, memoryMiB: 8192 }));
    const pools = [{ architecture: 'arm64', instanceTypes }];
    const tags = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`tag-${index}`, 'x'.repeat(256)]));
    const limits = Object.fromEntries(
      Object.entries(CoreConfig.parse({})).filter(([name, value]) => name !== 'pollEvents' && value !== undefined),
    );
    for (const each of [{ pools }, { limits }, { tags }]) expect(complaint(each)).toBe('taken');
    const sum = /pools \(about \d+ bytes\), limits \(\d+\) and tags \(\d+\) come to \d{4} of the 3000 bytes/;
    for (const each of [
      { pools, limits },
      { limits, tags },
      { pools, tags },
    ])
      expect(complaint(each)).toMatch(sum);
    expect(complaint({ pools, limits })).toMatch(/ pools: .*name fewer instance types or zones than these 1/);
    expect(complaint({ limits, tags })).toMatch(/ tags: .*give fewer tags, or shorter ones/);
  });

  it('takes an egress allow-list with an image of one’s own, and an empty one with any', () => {
    const egressAllowList = [{ cidr: '10.0.0.0/8', ports: [443] }];
    expect(complaint({ vm: { images: { arm64: { amiId: 'ami-0123456789abcdef0' } }, egressAllowList } })).toBe('taken');
    const ubuntu = {
      ssmParameter: '/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id',
    };
    expect(complaint({ vm: { images: { arm64: ubuntu }, egressAllowList } })).toBe('taken');
    expect(complaint({ vm: { images: AMAZON_LINUX, egressAllowList: [] } })).toBe('taken');
  });

  it('names every mistake at once, and the file', () => {
    const text = complaint({ account: '1', region: 'x' });
    expect(text).toMatch(/^config\/test.ts is not valid:/);
    expect(text).toMatch(/account/);
    expect(text).toMatch(/region/);
  });
});
