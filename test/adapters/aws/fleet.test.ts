import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EC2_ERROR_CLASSES, type LaunchErrorClass } from '../../../adapters/aws/ec2Errors.ts';
import { Ec2Fleet } from '../../../adapters/aws/fleet.ts';
import { TAGS } from '../../../adapters/aws/instances.ts';
import type { Needs } from '../../../core/contract/agentParts.ts';
import type { LaunchPlan, LaunchSpec, Log } from '../../../core/ports.ts';
import type { LaunchFailed } from '../../../core/vms/launchErrors.ts';
import { fleetContract } from '../../contracts/fleet.ts';
import { ec2Error, FakeEc2 } from '../../support/aws/fakeEc2.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';

const SMALL = { type: 'm7i.large', vcpu: 2, memoryMiB: 8192 };
const LARGE = { type: 'm7i.4xlarge', vcpu: 16, memoryMiB: 65_536 };
const pool = (zone: 'a' | 'b', more: object = {}) => ({
  subnetId: `subnet-${zone}`,
  availabilityZone: `eu-central-1${zone}`,
  architecture: 'x86_64' as const,
  instanceTypes: [SMALL, LARGE],
  markets: ['spot' as const, 'on_demand' as const],
  ...more,
});
const ON_DEMAND = { market: 'on_demand' } as const satisfies Needs;
const MINUTE = 60_000;

let engine: TestEngine;
let world: World;
let ec2: FakeEc2;
let fleet: Ec2Fleet;
let errors: string[];
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
  ec2 = new FakeEc2();
  errors = [];
  refusals = [];
  fleet = makeFleet();
});

let refusals: object[];
const log: Log = {
  info: (event, facts = {}) => {
    if (event === 'launch.refused') refusals.push(facts);
  },
  warn: () => {},
  error: (event) => void errors.push(event),
};

const makeFleet = (more: object = {}) =>
  new Ec2Fleet({
    client: ec2.client,
    store: world.ports.store,
    time: world.ports.time,
    log,
    metrics: world.ports.metrics,
    installation: 'candor-dev',
    template: { id: 'lt-1', version: '$Latest' },
    pools: [pool('a'), pool('b')],
    launchesPerSecond: 2,
    launchBurst: 100,
    ...more,
  });

let tokens = 0;
const spec = (plan: LaunchPlan, more: Partial<LaunchSpec> = {}): LaunchSpec => ({
  tenantId: 't1',
  vmId: 'vm_1',
  agentId: 'agt_1',
  runId: 'run_1',
  attempt: 1,
  clientToken: `token-${++tokens}`,
  number: 9,
  plan,
  registrationKey: () => Promise.reject(new Error('an instance has an identity of its own')),
  ...more,
});

/** Plans and launches, as the core does. */
const launch = async (needs: Needs = ON_DEMAND, more: Partial<LaunchSpec> = {}) =>
  fleet.launch(spec(await fleet.plan(needs), more));
const failure = async (needs: Needs = ON_DEMAND, more: Partial<LaunchSpec> = {}): Promise<LaunchFailed> =>
  launch(needs, more).then(
    () => Promise.reject(new Error('it was launched')),
    (error: unknown) => error as LaunchFailed,
  );

/** Of all EC2 codes of design.md §5.3, what a launch throws when every pool answers it. */
const THROWN: Readonly<Record<LaunchErrorClass, string>> = {
  POOL: 'CapacityUnavailable',
  SUBNET: 'CapacityUnavailable',
  SPOT: 'CapacityUnavailable',
  QUOTA: 'QuotaExceeded',
  THROTTLE: 'LaunchThrottled',
  CONFIG: 'LaunchMisconfigured',
  UNKNOWN: 'LaunchMisconfigured',
};
/** The codes that the design names, written out here once more. */
const DESIGN: Readonly<Record<LaunchErrorClass, string>> = {
  POOL: `InsufficientInstanceCapacity InsufficientHostCapacity InsufficientReservedInstanceCapacity InsufficientCapacity
    InsufficientCapacityOnHost UnfulfillableCapacity ReservationCapacityExceeded SpotMaxPriceTooLow Unsupported`,
  SUBNET: 'InsufficientFreeAddressesInSubnet',
  SPOT: `MaxSpotInstanceCountExceeded MaxSpotFleetRequestCountExceeded
    AuthFailure.ServiceLinkedRoleCreationNotPermitted`,
  QUOTA: `VcpuLimitExceeded InstanceLimitExceeded MaxFleetCountExceeded VolumeLimitExceeded MaxIOPSLimitExceeded
    PendingVerification`,
  THROTTLE: `RequestLimitExceeded Throttling ThrottlingException EC2ThrottledException InternalError Unavailable`,
  CONFIG: `InvalidAMIID.NotFound InvalidAMIID.Malformed InvalidLaunchTemplateId.NotFound InvalidLaunchTemplateName.NotFound
    InvalidSubnetID.NotFound InvalidGroup.NotFound InvalidParameterValue InvalidParameterCombination InvalidParameter
    UnauthorizedOperation AuthFailure OptInRequired Blocked`,
  UNKNOWN: 'SomethingNew InvalidWeather',
};
const CASES = Object.entries(DESIGN).flatMap(([errorClass, codes]) =>
  codes.split(/\s+/).map((code) => [code, errorClass as LaunchErrorClass] as const),
);

describe('an answer without an instance', () => {
  it.each(CASES)('%s is of class %s: thrown, with each pool and its code', async (code, errorClass) => {
    ec2.refuse = () => code;
    const error = await failure();
    expect(error.name).toBe(THROWN[errorClass]);
    expect(error.tried).toEqual(
      ['m7i.large', 'm7i.large', 'm7i.4xlarge', 'm7i.4xlarge'].map((type, index) => ({
        type,
        availabilityZone: index % 2 === 0 ? 'eu-central-1a' : 'eu-central-1b',
        market: 'on_demand',
        code,
      })),
    );
    expect(error.message).toContain(`m7i.large/eu-central-1a/on_demand: ${code}`);
    expect(error.unanswered).toBe(false);
  });

  it.each(CASES)('%s thrown by the call as a whole is the same', async (code, errorClass) => {
    ec2.fault = ec2Error(code);
    expect(await failure()).toMatchObject({ name: THROWN[errorClass], unanswered: false });
  });

  it('names every class of the table by an exact code or a prefix, each once', () => {
    const names = EC2_ERROR_CLASSES.map(([name]) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it.each([
    [['InsufficientInstanceCapacity', 'InvalidSubnetID.NotFound'], 'CapacityUnavailable'],
    [['InvalidSubnetID.NotFound', 'VcpuLimitExceeded'], 'QuotaExceeded'],
    [['VcpuLimitExceeded', 'InsufficientInstanceCapacity'], 'CapacityUnavailable'],
    [['VcpuLimitExceeded', 'RequestLimitExceeded'], 'LaunchThrottled'],
    [['SomethingNew', 'InsufficientFreeAddressesInSubnet'], 'CapacityUnavailable'],
    [['SomethingNew', 'InvalidSubnetID.NotFound'], 'LaunchMisconfigured'],
  ])('%j is as hopeful as the best of them: %s', async ([inA, inB], name) => {
    ec2.refuse = ({ subnetId }) => (subnetId === 'subnet-a' ? inA : inB);
    expect(await failure()).toMatchObject({ name });
  });

  it('that is wholly empty is one of a pool without room', async () => {
    ec2.client.send = (async () => ({ Instances: [], Errors: [] })) as never;
    expect(await failure()).toMatchObject({ name: 'CapacityUnavailable', tried: [{ code: 'EmptyAnswer' }] });
  });

  it('is told to operators where it is a quota, unknown or wrong', async () => {
    for (const [code, event] of [
      ['VcpuLimitExceeded', 'launch.quota'],
      ['SomethingNew', 'launch.unknown_code'],
      ['InvalidAMIID.NotFound', 'launch.misconfigured'],
    ] as const) {
      errors.length = 0;
      ec2.refuse = () => code;
      await failure();
      expect(new Set(errors)).toEqual(new Set([event]));
    }
  });

  it('is counted and written down pool by pool, in EC2’s own words', async () => {
    ec2.refuse = ({ subnetId }) =>
      subnetId === 'subnet-a' ? 'InsufficientInstanceCapacity' : { code: 'SomethingNew', message: 'we do not say' };
    await failure();
    const counted = (name: string) =>
      world.measured.filter((each) => each.name === 'LaunchRefusals' && Object.values(each.dimensions).includes(name))
        .length;
    expect([counted('POOL'), counted('UNKNOWN')]).toEqual([2, 2]);
    expect(refusals).toHaveLength(4);
    expect(refusals).toContainEqual({
      vmId: 'vm_1',
      runId: 'run_1',
      code: 'SomethingNew',
      class: 'UNKNOWN',
      said: 'we do not say',
      type: 'm7i.4xlarge',
      availabilityZone: 'eu-central-1b',
      subnetId: 'subnet-b',
      market: 'on_demand',
    });
  });

  it('about a profile that was just made is a throttle for the first tries, and then wrong', async () => {
    ec2.refuse = () => ({
      code: 'InvalidParameterValue',
      message: 'Value (x) is an Invalid IAM Instance Profile name',
    });
    expect(await failure(ON_DEMAND, { number: 1 })).toMatchObject({ name: 'LaunchThrottled' });
    expect(await failure(ON_DEMAND, { number: 5 })).toMatchObject({ name: 'LaunchMisconfigured' });
  });
});

describe('no answer', () => {
  it.each([
    ['a socket that was hung up', Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })],
    ['a timeout', Object.assign(new Error('too long'), { name: 'TimeoutError' })],
    ['a failure within EC2', ec2Error('InternalError', 500)],
    ['a server’s failure by a name that nobody knows', ec2Error('Oops', 503)],
  ])('%s leaves it open what became of the request', async (_what, fault) => {
    ec2.fault = fault;
    expect(await failure()).toMatchObject({ name: 'LaunchThrottled', unanswered: true, othersLeft: false });
  });

  it('the same request under its token gets the instance that it had brought', async () => {
    const asked = spec(await fleet.plan(ON_DEMAND));
    ec2.lostAnswer = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
    await expect(fleet.launch(asked)).rejects.toMatchObject({ unanswered: true });
    const { instanceId } = await fleet.launch(asked);
    expect([...ec2.instances.keys()]).toEqual([instanceId]);
  });

  it('a token that was used for another request leads to its instance, or to a new token', async () => {
    const asked = spec(await fleet.plan(ON_DEMAND));
    const { instanceId } = await fleet.launch(asked);
    const other = { ...asked, plan: await fleet.plan({ market: 'spot' }) };
    expect(await fleet.launch(other)).toEqual({ instanceId });
    ec2.setState(instanceId, 'terminated');
    await expect(fleet.launch(other)).rejects.toMatchObject({ name: 'LaunchThrottled', unanswered: false });
  });

  it('a fault of the program itself stays one', async () => {
    ec2.fault = new TypeError('undefined is not a function');
    await expect(launch()).rejects.toThrow(TypeError);
  });
});

describe('an instance in the answer', () => {
  it('has the tags of the environment, none of which stands for one of ours', async () => {
    fleet = makeFleet({ tags: { 'cost-center': '4711', 'candor:vm': 'vm_other' } });
    const { instanceId } = await launch();
    const tags = ec2.instances.get(instanceId)?.Tags;
    expect(tags).toContainEqual({ Key: 'cost-center', Value: '4711' });
    expect(tags?.filter(({ Key }) => Key === 'candor:vm')).toEqual([{ Key: 'candor:vm', Value: 'vm_1' }]);
  });

  it('is success, with its tags and where it is', async () => {
    const launched = await launch();
    expect(launched.pool).toEqual({ type: 'm7i.large', availabilityZone: 'eu-central-1a', market: 'on_demand' });
    const tags = Object.fromEntries(
      (ec2.instances.get(launched.instanceId)?.Tags ?? []).map(({ Key: key, Value: value }) => [key, value]),
    );
    expect(tags).toMatchObject({
      [TAGS.installation]: 'candor-dev',
      [TAGS.vm]: 'vm_1',
      [TAGS.tenant]: 't1',
      [TAGS.agent]: 'agt_1',
      [TAGS.run]: 'run_1',
      [TAGS.attempt]: '1',
    });
    expect(ec2.requests).toMatchObject([
      {
        Type: 'instant',
        TargetCapacitySpecification: { TotalTargetCapacity: 1, DefaultTargetCapacityType: 'on-demand' },
        OnDemandOptions: { AllocationStrategy: 'prioritized' },
        LaunchTemplateConfigs: [
          { LaunchTemplateSpecification: { LaunchTemplateId: 'lt-1', Version: '$Latest' }, Overrides: { length: 4 } },
        ],
      },
    ]);
  });

  it('is success whatever errors stand beside it', async () => {
    ec2.alsoError = 'InsufficientInstanceCapacity';
    await launch();
    expect(ec2.instances.size).toBe(1);
  });

  it('is the only one: a surplus one is ended', async () => {
    ec2.surplus = 2;
    const { instanceId } = await launch();
    expect(ec2.terminated).toHaveLength(2);
    expect(ec2.terminated).not.toContain(instanceId);
  });

  it('comes from the second zone where the first one has no room', async () => {
    ec2.refuse = ({ subnetId }) => (subnetId === 'subnet-a' ? 'InsufficientInstanceCapacity' : undefined);
    expect((await launch()).pool?.availabilityZone).toBe('eu-central-1b');
  });
});

describe('what had no room a moment ago', () => {
  const asked = () => (ec2.requests.at(-1)?.LaunchTemplateConfigs ?? []).flatMap((each) => each.Overrides ?? []);

  it('is not asked for three minutes, by any function, and is named in the answer', async () => {
    ec2.refuse = () => 'InsufficientInstanceCapacity';
    expect(await failure()).toMatchObject({ othersLeft: true });
    fleet = makeFleet();
    const error = await failure();
    expect(error).toMatchObject({ name: 'CapacityUnavailable', othersLeft: false });
    expect(error.tried).toHaveLength(4);
    expect(ec2.requests).toHaveLength(1);
    world.now += 3 * MINUTE;
    ec2.refuse = () => undefined;
    await launch();
    expect(ec2.requests).toHaveLength(2);
  });

  it('is left out while others are asked; what it said still counts', async () => {
    ec2.refuse = ({ type }) => (type === SMALL.type ? 'InsufficientInstanceCapacity' : 'InvalidParameterValue');
    expect(await failure()).toMatchObject({ name: 'CapacityUnavailable' });
    // The pool that is set up wrongly is left out with the other: nobody fails because it alone is left.
    expect(await failure()).toMatchObject({ name: 'CapacityUnavailable' });
    expect(ec2.requests).toHaveLength(1);
  });

  it('of a subnet means all types in it', async () => {
    ec2.refuse = ({ subnetId }) => (subnetId === 'subnet-a' ? 'InsufficientFreeAddressesInSubnet' : 'Unsupported');
    await failure();
    world.now += 3 * MINUTE;
    ec2.refuse = ({ subnetId }) => (subnetId === 'subnet-a' ? 'InsufficientFreeAddressesInSubnet' : undefined);
    await launch();
    await launch();
    expect(asked().map((each) => each.SubnetId)).toEqual(['subnet-a', 'subnet-b', 'subnet-a', 'subnet-b']);
    expect(ec2.requests).toHaveLength(3);
  });

  it.each(DESIGN.SPOT.split(/\s+/))('of spot (%s) means on demand for five minutes', async (code) => {
    ec2.refuse = ({ market }) => (market === 'spot' ? code : undefined);
    expect(await failure({ market: 'spot_first' })).toMatchObject({ name: 'CapacityUnavailable', othersLeft: true });
    expect((await launch({ market: 'spot_first' })).pool?.market).toBe('on_demand');
    // An agent that wants nothing else waits as for a quota.
    expect(await failure({ market: 'spot' })).toMatchObject({ name: 'QuotaExceeded' });
    world.now += 5 * MINUTE;
    expect((await fleet.plan({ market: 'spot_first' })).market).toBe('spot');
  });
});

describe('a plan', () => {
  const types = async (needs: Needs) => (await fleet.plan(needs)).pools.map(({ type }) => type);

  it('has what the agent requires, each zone before the next type, and nothing else', async () => {
    expect(await types({})).toEqual([SMALL.type, SMALL.type, LARGE.type, LARGE.type]);
    expect(await types({ vcpu: 4 })).toEqual([LARGE.type, LARGE.type]);
    expect(await types({ memoryMiB: 9000 })).toEqual([LARGE.type, LARGE.type]);
    expect(await types({ instanceTypes: [LARGE.type, SMALL.type] })).toEqual([
      LARGE.type,
      LARGE.type,
      SMALL.type,
      SMALL.type,
    ]);
  });

  it('that no pool can meet is refused, for asking again would not help', async () => {
    for (const needs of [{ vcpu: 64 }, { architecture: 'arm64' as const }, { instanceTypes: ['x9.huge'] }])
      await expect(fleet.plan(needs)).rejects.toMatchObject({ name: 'LaunchMisconfigured' });
  });

  it('keeps to the markets of a pool, in the order of the installation unless the agent says', async () => {
    expect((await fleet.plan({})).market).toBe('spot');
    fleet = makeFleet({ pools: [pool('a', { markets: ['on_demand'] })] });
    expect((await fleet.plan({})).market).toBe('on_demand');
    expect((await fleet.plan({ market: 'spot_first' })).market).toBe('on_demand');
    await expect(fleet.plan({ market: 'spot' })).rejects.toMatchObject({ name: 'LaunchMisconfigured' });
  });

  it('takes the image and the template of its pool', async () => {
    const arm = pool('b', { architecture: 'arm64', launchTemplateId: 'lt-arm', imageId: 'ami-1' });
    fleet = makeFleet({ pools: [pool('a'), arm] });
    await launch({ architecture: 'arm64' });
    expect(ec2.requests[0]?.LaunchTemplateConfigs).toMatchObject([
      { LaunchTemplateSpecification: { LaunchTemplateId: 'lt-arm' }, Overrides: [{ ImageId: 'ami-1' }, {}] },
    ]);
  });

  it('is paced over all functions: a burst, then so many a second', async () => {
    const many = (count: number) =>
      Promise.allSettled(Array.from({ length: count }, () => makeFleet({ launchBurst: 5 }).plan({})));
    const granted = async (count: number) => (await many(count)).filter(({ status }) => status === 'fulfilled').length;
    for (let asked = 0; asked < 5; asked++) expect(await granted(1)).toBe(1);
    const [refused] = await many(1);
    expect(refused).toMatchObject({ status: 'rejected', reason: { name: 'LaunchPaced' } });
    world.now += 1000;
    expect(await granted(8)).toBeLessThanOrEqual(2);
    world.now += 60_000;
    let all = 0;
    for (let asked = 0; asked < 10; asked++) all += await granted(1);
    expect(all).toBe(5);
  });
});

describe('looking at the VM', () => {
  it.each([
    ['pending', 'pending'],
    ['running', 'running'],
    ['stopping', 'running'],
    ['shutting-down', 'running'],
    ['stopped', 'unknown'],
    ['terminated', 'terminated'],
  ])('%s is %s', async (state, status) => {
    const { instanceId } = await launch();
    ec2.setState(instanceId, state);
    expect(await fleet.observe('vm_1', instanceId, world.now)).toMatchObject({ status });
    expect(await fleet.observe('vm_1', undefined, world.now)).toMatchObject({ status });
    expect(await fleet.observe('vm_1', instanceId)).toMatchObject({ detail: expect.stringContaining(instanceId) });
  });

  it('calls one that was just launched and is not to be seen pending, and an old one gone', async () => {
    const { instanceId } = await launch();
    ec2.hidden = true;
    const launchedAt = world.now;
    expect(await fleet.observe('vm_1', instanceId, launchedAt)).toMatchObject({ status: 'pending' });
    world.now += 6 * MINUTE;
    expect(await fleet.observe('vm_1', instanceId, launchedAt)).toMatchObject({ status: 'terminated' });
  });

  it('does not take the end of a surplus one for that of its own, which is not to be seen yet', async () => {
    ec2.surplus = 1;
    const { instanceId } = await launch();
    const launchedAt = world.now;
    for (const id of ec2.instances.keys()) if (id !== instanceId) ec2.setState(id, 'terminated');
    ec2.setState(instanceId, 'running');
    ec2.hiddenIds.add(instanceId);
    expect(await fleet.observe('vm_1', instanceId, launchedAt)).toMatchObject({ status: 'pending' });
    ec2.hiddenIds.clear();
    expect(await fleet.observe('vm_1', instanceId, launchedAt)).toMatchObject({ status: 'running' });
    ec2.hiddenIds.add(instanceId);
    world.now += 6 * MINUTE;
    expect(await fleet.observe('vm_1', instanceId, launchedAt)).toMatchObject({ status: 'terminated' });
  });

  it('calls it gone only when all instances with its tag are', async () => {
    ec2.surplus = 1;
    const { instanceId } = await launch();
    ec2.setState(instanceId, 'terminated');
    expect(await fleet.observe('vm_1', instanceId, world.now)).toMatchObject({ status: 'running' });
    for (const id of ec2.instances.keys()) ec2.setState(id, 'terminated');
    expect(await fleet.observe('vm_1', instanceId, world.now)).toMatchObject({ status: 'terminated' });
  });

  it('never answers terminated because a request failed', async () => {
    const { instanceId } = await launch();
    ec2.describeFault = ec2Error('RequestLimitExceeded', 503);
    await expect(fleet.observe('vm_1', instanceId)).rejects.toThrow('RequestLimitExceeded');
  });

  it('refuses to conclude anything from an instance that is not ours', async () => {
    const { instanceId } = await launch();
    const theirs = makeFleet({ installation: 'candor-prod' });
    await expect(theirs.observe('vm_1', instanceId)).rejects.toThrow('does not carry the tags');
    await expect(theirs.terminate('vm_1', instanceId)).rejects.toThrow('does not carry the tags');
    expect(ec2.terminated).toEqual([]);
  });
});

fleetContract('the fleet on EC2', () => {
  let vms = 0;
  return {
    fleet,
    newVmId: () => `vm_${++vms}`,
    settle: async () => {
      for (const id of ec2.terminated) ec2.setState(id, 'terminated');
    },
    now: () => world.now,
  };
});

describe('ending the VM', () => {
  it('ends every instance with its tags, and none of another VM or installation', async () => {
    const mine = await launch();
    const other = await launch(ON_DEMAND, { vmId: 'vm_2' });
    await fleet.terminate('vm_1', undefined);
    expect(ec2.terminated).toEqual([mine.instanceId]);
    await fleet.terminate('vm_2', other.instanceId);
    expect(ec2.terminated).toEqual([mine.instanceId, other.instanceId]);
  });

  it('asks for the end of one that is not to be seen yet, and of one that is gone, and both is well', async () => {
    const { instanceId } = await launch();
    ec2.hidden = true;
    await fleet.terminate('vm_1', instanceId);
    expect(ec2.terminated).toEqual([instanceId]);
    await fleet.terminate('vm_1', 'i-0000000000000000');
    await fleet.terminate('vm_9', undefined);
    expect(ec2.terminated).toEqual([instanceId]);
  });
});
