/**
 * What the real state machine does with each of EC2's answers (design.md §5.3): the file itself in an interpreter, the use
 * cases of its Lambdas, and the EC2 fleet before a double. Pauses are not waited for; that they are declared is read.
 */
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LaunchErrorClass } from '../../adapters/aws/ec2Errors.ts';
import { Ec2Fleet } from '../../adapters/aws/fleet.ts';
import { type ExecutionEnd, LocalWorkflow } from '../../adapters/local/workflow.ts';
import type { ExecutionInput, Ports } from '../../core/ports.ts';
import { getRun } from '../../core/runs/service.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { LAUNCH_BACKOFF, pauseMsMax } from '../../core/vms/launchErrors.ts';
import { awaitReady, dispatchRun, failRun, launchVm, releaseAttempt } from '../../core/vms/provision.ts';
import { apiRun, FakeRunner, MINUTE, runRow, SECOND, vmRow } from '../core/support.ts';
import { ec2Error, FakeEc2 } from '../support/aws/fakeEc2.ts';
import { silentLog, type TestEngine, testEngine, type World } from '../support/world.ts';

interface Retry {
  readonly ErrorEquals: readonly string[];
  readonly IntervalSeconds: number;
  readonly BackoffRate: number;
  readonly MaxDelaySeconds: number;
  readonly MaxAttempts: number;
  readonly JitterStrategy: string;
}
const file = new URL('../../state-machines/provision-vm.asl.json', import.meta.url);
const { LaunchVm } = (JSON.parse(readFileSync(file, 'utf8')) as { States: { LaunchVm: { Retry: readonly Retry[] } } })
  .States;

let engine: TestEngine;
let world: World;
let ec2: FakeEc2;
let ports: Ports;
let workflow: LocalWorkflow;
let path: string[];
let ends: ExecutionEnd[];
/** Called before each LaunchVm but the first. */
let beforeRetry: () => Promise<void>;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
afterEach(() => workflow.close());
beforeEach(async () => {
  world = await engine.world();
  ec2 = new FakeEc2();
  path = [];
  ends = [];
  beforeRetry = async () => {};
  type Input = ExecutionInput & { readonly vmId: string; readonly taskToken: string };
  const entering =
    (state: string, handle: (input: Input) => Promise<unknown>) =>
    async (input: unknown): Promise<unknown> => {
      if (state === 'LaunchVm' && path.includes(state)) await beforeRetry();
      path.push(state);
      return handle(input as Input);
    };
  const states = {
    LaunchVm: (input: Input) => launchVm(ports, input),
    AwaitReady: (input: Input) => awaitReady(ports, input),
    DispatchRun: (input: Input) => dispatchRun(ports, input),
    ReleaseVm: (input: Input) => releaseAttempt(ports, input),
    FailRun: (input: Input) => failRun(ports, input),
  };
  workflow = new LocalWorkflow({
    handlers: Object.fromEntries(Object.entries(states).map(([state, handle]) => [state, entering(state, handle)])),
    log: silentLog,
    onEnd: (end) => void ends.push(end),
    retryIntervalOverrides: Object.fromEntries(Object.keys(states).map((state) => [state, 0])),
  });
  const pool = (zone: string) => ({
    subnetId: `subnet-${zone}`,
    availabilityZone: `eu-central-1${zone}`,
    architecture: 'x86_64' as const,
    instanceTypes: [{ type: 'm7i.large', vcpu: 2, memoryMiB: 8192 }],
    markets: ['on_demand' as const],
  });
  const fleet = new Ec2Fleet({
    client: ec2.client,
    store: world.ports.store,
    time: world.ports.time,
    log: silentLog,
    metrics: world.ports.metrics,
    installation: 'candor-dev',
    template: { id: 'lt-1', version: '$Latest' },
    pools: [pool('a'), pool('b')],
    launchesPerSecond: 2,
    launchBurst: 50,
  });
  ports = { ...world.ports, fleet, workflow };
});

const start = async (overrides: Parameters<World['agent']>[0] = {}) => {
  const run = await apiRun(world, { limits: { startTimeout: 'PT2H' }, retry: { maxAttempts: 1 }, ...overrides });
  await workflow.start(`${run.id}-1`, run.input);
  return run;
};
const until = (done: () => void | Promise<void>) => vi.waitFor(done, { timeout: 20_000, interval: 5 });
const untilIn = (state: string) => until(() => expect(path).toContain(state));
const ended = () => until(() => expect(ends).toHaveLength(1));
const bodyOf = (id: string) => getRun(ports, world.caller, id);

const CODES: readonly (readonly [LaunchErrorClass, string, string, string])[] = [
  ...[
    'InsufficientInstanceCapacity',
    'InsufficientHostCapacity',
    'InsufficientReservedInstanceCapacity',
    'InsufficientCapacity',
    'InsufficientCapacityOnHost',
    'UnfulfillableCapacity',
    'ReservationCapacityExceeded',
    'SpotMaxPriceTooLow',
    'Unsupported',
  ].map((code) => ['POOL', code, 'CapacityUnavailable', 'capacity'] as const),
  ['SUBNET', 'InsufficientFreeAddressesInSubnet', 'CapacityUnavailable', 'capacity'],
  ...['VcpuLimitExceeded', 'InstanceLimitExceeded', 'MaxFleetCountExceeded', 'VolumeLimitExceeded']
    .concat('MaxIOPSLimitExceeded', 'PendingVerification')
    .map((code) => ['QUOTA', code, 'QuotaExceeded', 'quota'] as const),
  ...['RequestLimitExceeded', 'Throttling', 'EC2ThrottledException', 'InternalError', 'Unavailable'].map(
    (code) => ['THROTTLE', code, 'LaunchThrottled', 'launch_rate'] as const,
  ),
];

describe('an answer that may pass', () => {
  it.each(CODES)('%s, %s: %s, the run says what it waits for, and the launch is asked for again', async (...row) => {
    const [, code, error, reason] = row;
    ec2.refuse = () => code;
    let seen: Awaited<ReturnType<typeof bodyOf>> | undefined;
    let id = '';
    beforeRetry = async () => {
      seen = await bodyOf(id);
      world.now += 6 * MINUTE;
      ec2.refuse = () => undefined;
    };
    const failedAt = world.now;
    ({ id } = await start());
    await untilIn('AwaitReady');
    expect(path).toEqual(['LaunchVm', 'LaunchVm', 'AwaitReady']);
    expect(seen?.waiting).toEqual({
      reason,
      tried: ['a', 'b'].map((zone) => ({
        type: 'm7i.large',
        availabilityZone: `eu-central-1${zone}`,
        market: 'on_demand',
        code,
      })),
      nextTryAt: new Date(failedAt + (pauseMsMax(error, 1) ?? 0)).toISOString(),
    });
    expect((await bodyOf(id)).waiting).toBeUndefined();
    expect(ec2.instances.size).toBe(1);
  });
});

describe('an answer that asking again would only repeat', () => {
  it.each([
    'InvalidAMIID.NotFound',
    'InvalidLaunchTemplateId.NotFound',
    'InvalidSubnetID.NotFound',
    'InvalidGroup.NotFound',
    'InvalidParameterValue',
    'UnauthorizedOperation',
    'AuthFailure',
    'OptInRequired',
    'Blocked',
    'SomethingNobodyKnows',
  ])('%s fails the run at once, with every pool and its code', async (code) => {
    ec2.refuse = () => code;
    const { id } = await start();
    await ended();
    expect(path).toEqual(['LaunchVm', 'ReleaseVm', 'FailRun']);
    expect(await runRow(world, id)).toMatchObject({ status: 'failed', reason: 'launch_misconfigured' });
    const { detail } = (await bodyOf(id)).evidence;
    for (const zone of ['a', 'b']) expect(detail).toContain(`m7i.large/eu-central-1${zone}/on_demand: ${code}`);
  });
});

describe('pools without room', () => {
  it('are passed over: the next one has room, and the run has not waited', async () => {
    ec2.refuse = ({ subnetId }) => (subnetId === 'subnet-a' ? 'InsufficientInstanceCapacity' : undefined);
    const { id } = await start();
    await untilIn('AwaitReady');
    expect(path).toEqual(['LaunchVm', 'AwaitReady']);
    expect((await runRow(world, id)).waiting).toBeUndefined();
  });

  it('up to the start deadline: the run fails with every pool and every code that was heard', async () => {
    const codes = ['InsufficientInstanceCapacity', 'VcpuLimitExceeded', 'InsufficientFreeAddressesInSubnet'];
    ec2.refuse = ({ subnetId }) => (subnetId === 'subnet-a' ? codes[0] : 'Unsupported');
    beforeRetry = async () => {
      world.now += 4 * MINUTE;
      codes.push(codes.shift() ?? '');
    };
    const { id } = await start({ limits: { startTimeout: 'PT15M' } });
    await ended();
    expect(path).toEqual([...Array(5).fill('LaunchVm'), 'ReleaseVm', 'FailRun']);
    const run = await bodyOf(id);
    expect(run).toMatchObject({ status: 'failed', reason: 'start_timeout' });
    expect(run.waiting).toBeUndefined();
    for (const code of [...codes, 'Unsupported']) expect(run.evidence.detail).toContain(code);
    expect(run.evidence.detail).toContain('eu-central-1b');
  });
});

describe('a launch whose answer is lost', () => {
  it('has one instance in the end, under one token', async () => {
    ec2.lostAnswer = ec2Error('InternalError', 500);
    const { id } = await start();
    await untilIn('AwaitReady');
    expect(path).toEqual(['LaunchVm', 'LaunchVm', 'AwaitReady']);
    expect(ec2.instances.size).toBe(1);
    expect(new Set(ec2.requests.map((request) => request.ClientToken)).size).toBe(1);
    expect((await runRow(world, id)).waiting).toBeUndefined();
  });

  it('goes on to its run when the runner registers', async () => {
    const { id } = await start();
    await untilIn('AwaitReady');
    const [vmId = ''] = [...ec2.instances.values()].map(
      (each) => each.Tags?.find((tag) => tag.Key === 'candor:vm')?.Value ?? '',
    );
    expect(await vmRow(world, vmId)).toMatchObject({
      status: 'booting',
      evidence: { detail: expect.stringContaining('m7i.large, eu-central-1a, on_demand') },
    });
    expect((await vmRow(world, vmId)).intent.plan).toBeUndefined();
    const runner = new FakeRunner({ ...world, ports }, vmId);
    await until(async () => expect(await world.ports.store.get(keys.vmTaskToken(vmId))).toBeDefined());
    await runner.register();
    await ended();
    expect(path).toEqual(['LaunchVm', 'AwaitReady', 'DispatchRun']);
    expect(await runRow(world, id)).toMatchObject({ status: 'starting', vmId });
  });
});

describe('the pauses between launches', () => {
  it.each(Object.entries(LAUNCH_BACKOFF))('%s: as the file declares them, with full jitter', (error, backoff) => {
    const declared = LaunchVm.Retry.find((retry) => retry.ErrorEquals.includes(error));
    expect(declared).toMatchObject({
      ErrorEquals: [error],
      IntervalSeconds: backoff.seconds,
      BackoffRate: backoff.rate,
      MaxDelaySeconds: backoff.secondsMax,
      JitterStrategy: 'FULL',
    });
    // Longer than any start deadline at their longest pauses: it is the deadline that ends them.
    expect((declared?.MaxAttempts ?? 0) * backoff.secondsMax).toBeGreaterThan(86_400);
    expect(pauseMsMax(error, 1)).toBe(backoff.seconds * SECOND);
    expect(pauseMsMax(error, 1000)).toBe(backoff.secondsMax * SECOND);
  });

  it('grow with each failure of the same kind, and the run says until when at most', async () => {
    ec2.refuse = () => 'VcpuLimitExceeded';
    const pauses: number[] = [];
    let id = '';
    beforeRetry = async () => {
      const { nextTryAt = '' } = (await bodyOf(id)).waiting ?? {};
      pauses.push((Date.parse(nextTryAt) - world.now) / SECOND);
      world.now += MINUTE;
      if (pauses.length === 5) ec2.refuse = () => undefined;
    };
    ({ id } = await start());
    await untilIn('AwaitReady');
    expect(pauses).toEqual([60, 120, 240, 480, 600]);
  });
});
