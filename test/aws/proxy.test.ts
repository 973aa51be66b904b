import http from 'node:http';
import {
  CreateFleetCommand,
  type CreateFleetCommandInput,
  DescribeInstancesCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { GetScheduleCommand, SchedulerClient } from '@aws-sdk/client-scheduler';
import { SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { afterEach, describe, expect, it } from 'vitest';
import { AwsProxy } from './proxy/proxy.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const ZONES: Readonly<Record<string, string>> = {
  'subnet-a': 'us-east-1a',
  'subnet-b': 'us-east-1b',
  'subnet-c': 'us-east-1c',
};

/** A stand-in for the emulator: launches whatever it is asked for, and remembers what that was. */
async function emulator() {
  const received: URLSearchParams[] = [];
  let launched = 0;
  const answerTo = (form: URLSearchParams, target: string | undefined): string => {
    if (target !== undefined) return JSON.stringify({ executionArn: 'arn:execution', startDate: 1 });
    switch (form.get('Action')) {
      case 'CreateFleet': {
        const count = Number(form.get('TargetCapacitySpecification.TotalTargetCapacity'));
        const ids = Array.from({ length: count }, () => `<item>i-${String(++launched).padStart(17, '0')}</item>`);
        return `<CreateFleetResponse><fleetInstanceSet><item><instanceIds>${ids.join('')}</instanceIds></item></fleetInstanceSet></CreateFleetResponse>`;
      }
      case 'DescribeSubnets':
        return `<r><availabilityZone>${ZONES[form.get('SubnetId.1') ?? '']}</availabilityZone></r>`;
      default:
        return '<DescribeInstancesResponse><reservationSet><item><instancesSet><item><instanceId>i-00000000000000001</instanceId></item></instancesSet></item></reservationSet></DescribeInstancesResponse>';
    }
  };
  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    received.push(form);
    if (request.method === 'HEAD') response.writeHead(200, { 'content-length': 3 * 1024 * 1024 + 17 }).end();
    else response.end(answerTo(form, request.headers['x-amz-target'] as string | undefined));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => new Promise((resolve) => server.close(resolve)));
  const { port } = server.address() as { port: number };
  return { url: `http://127.0.0.1:${port}`, launches: () => launched, received };
}

async function setup() {
  const backend = await emulator();
  const proxy = new AwsProxy(backend.url);
  await proxy.listen();
  cleanups.push(() => proxy.close());
  const options = {
    endpoint: proxy.url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  };
  const ec2 = new EC2Client(options);
  const scheduler = new SchedulerClient(options);
  const sfn = new SFNClient(options);
  cleanups.push(() => [ec2, scheduler, sfn].map((client) => client.destroy()));
  return { backend, proxy, ec2, scheduler, sfn };
}

/** Two types in three zones, zones first. */
const POOLS = (['t3.medium', 'm6i.large'] as const).flatMap((InstanceType) =>
  Object.keys(ZONES).map((SubnetId) => ({ InstanceType, SubnetId })),
);

function fleet(token: string, more: Partial<CreateFleetCommandInput> = {}): CreateFleetCommand {
  return new CreateFleetCommand({
    Type: 'instant',
    ClientToken: token,
    LaunchTemplateConfigs: [
      {
        LaunchTemplateSpecification: { LaunchTemplateId: 'lt-1', Version: '7' },
        Overrides: POOLS.map((pool, index) => ({ ...pool, Priority: index })),
      },
    ],
    TargetCapacitySpecification: { TotalTargetCapacity: 1, DefaultTargetCapacityType: 'spot' },
    ...more,
  });
}

describe('CreateFleet', () => {
  it('launches in the first pool, and says which that is', async () => {
    const { ec2 } = await setup();
    const { Instances, Errors } = await ec2.send(fleet('a'));
    expect(Errors).toEqual([]);
    expect(Instances).toHaveLength(1);
    expect(Instances?.[0]).toMatchObject({
      InstanceType: 't3.medium',
      Lifecycle: 'spot',
      LaunchTemplateAndOverrides: {
        LaunchTemplateSpecification: { LaunchTemplateId: 'lt-1', Version: '7' },
        Overrides: { InstanceType: 't3.medium', SubnetId: 'subnet-a', AvailabilityZone: 'us-east-1a' },
      },
    });
  });

  it('goes past short zones to the next, with their codes beside the instance', async () => {
    const { ec2, proxy, backend } = await setup();
    proxy.fleet.shortage({ zone: 'us-east-1a', code: 'InsufficientInstanceCapacity' });
    proxy.fleet.shortage({ zone: 'us-east-1b', code: 'InsufficientInstanceCapacity' });
    const { Instances, Errors } = await ec2.send(fleet('a'));
    expect(Instances?.[0]?.LaunchTemplateAndOverrides?.Overrides?.AvailabilityZone).toBe('us-east-1c');
    expect(
      Errors?.map((each) => [each.ErrorCode, each.LaunchTemplateAndOverrides?.Overrides?.AvailabilityZone]),
    ).toEqual([
      ['InsufficientInstanceCapacity', 'us-east-1a'],
      ['InsufficientInstanceCapacity', 'us-east-1b'],
    ]);
    expect(backend.launches()).toBe(1);
  });

  it('answers an error per pool and no instance where all are short, until the shortage ends', async () => {
    const { ec2, proxy, backend } = await setup();
    const shortage = proxy.fleet.shortage({ market: 'spot', code: 'UnfulfillableCapacity' });
    const short = await ec2.send(fleet('a'));
    expect(short.Instances).toEqual([]);
    expect(short.Errors).toHaveLength(POOLS.length);
    expect(backend.launches()).toBe(0);
    shortage.end();
    expect((await ec2.send(fleet('b'))).Instances).toHaveLength(1);
  });

  it('adds the errors and the surplus that were ordered to one answer', async () => {
    const { ec2, proxy, backend } = await setup();
    proxy.fleet.addToNextAnswer({ errors: [{ code: 'InternalError' }], surplus: 1 });
    const first = await ec2.send(fleet('a'));
    expect(first.Instances?.[0]?.InstanceIds).toHaveLength(2);
    expect(first.Errors?.map((each) => each.ErrorCode)).toEqual(['InternalError']);
    expect((await ec2.send(fleet('b'))).Instances?.[0]?.InstanceIds).toHaveLength(1);
    expect(backend.launches()).toBe(3);
  });

  it('answers RequestLimitExceeded beyond the launch rate', async () => {
    const { ec2, proxy, backend } = await setup();
    proxy.fleet.limitRate({ burst: 2, perSecond: 0 });
    await ec2.send(fleet('a'));
    await ec2.send(fleet('b'));
    await expect(ec2.send(fleet('c'))).rejects.toMatchObject({ name: 'RequestLimitExceeded' });
    expect(backend.launches()).toBe(2);
  });
});

describe('the client token', () => {
  it('launches once, whether the calls come one after the other or together', async () => {
    const { ec2, backend } = await setup();
    const together = await Promise.all([ec2.send(fleet('a')), ec2.send(fleet('a'))]);
    const later = await ec2.send(fleet('a'));
    const ids = [...together, later].map(({ Instances }) => Instances?.[0]?.InstanceIds?.[0]);
    expect(new Set(ids).size).toBe(1);
    expect(backend.launches()).toBe(1);
  });

  it('answers a shortage again that it has answered once', async () => {
    const { ec2, proxy } = await setup();
    const shortage = proxy.fleet.shortage({ code: 'InsufficientInstanceCapacity' });
    await ec2.send(fleet('a'));
    shortage.end();
    expect((await ec2.send(fleet('a'))).Instances).toEqual([]);
  });

  it('refuses other parameters', async () => {
    const { ec2 } = await setup();
    await ec2.send(fleet('a'));
    const other = {
      TargetCapacitySpecification: { TotalTargetCapacity: 2, DefaultTargetCapacityType: 'spot' },
    } as const;
    await expect(ec2.send(fleet('a', other))).rejects.toMatchObject({ name: 'IdempotentParameterMismatch' });
  });

  it('launches again in other zones: AWS does not compare them', async () => {
    const { ec2, backend } = await setup();
    const configs = (subnet: string) => [
      {
        LaunchTemplateSpecification: { LaunchTemplateId: 'lt-1', Version: '7' },
        Overrides: [{ InstanceType: 't3.medium' as const, SubnetId: subnet }],
      },
    ];
    await ec2.send(fleet('a', { LaunchTemplateConfigs: configs('subnet-a') }));
    await ec2.send(fleet('a', { LaunchTemplateConfigs: configs('subnet-b') }));
    expect(backend.launches()).toBe(2);
  });

  it('is free again after a refusal as a whole', async () => {
    const { ec2, proxy } = await setup();
    proxy.fleet.limitRate({ burst: 0, perSecond: 0 });
    await expect(ec2.send(fleet('a'))).rejects.toThrow();
    proxy.fleet.limitRate(undefined);
    expect((await ec2.send(fleet('a'))).Instances).toHaveLength(1);
  });
});

describe('faults', () => {
  it('refuse in the words of each protocol, so often as ordered', async () => {
    const { ec2, scheduler, sfn, proxy, backend } = await setup();
    const throttled = { kind: 'error', error: { code: 'ThrottlingException' } } as const;
    proxy.faults.order({ service: 'ec2', action: 'DescribeInstances', times: 1, effect: throttled });
    proxy.faults.order({ service: 'scheduler', action: 'GetSchedule', times: 1, effect: throttled });
    const third = proxy.faults.order({ service: 'states', action: 'StartExecution', times: 1, effect: throttled });
    const refused = { name: 'ThrottlingException' };
    await expect(ec2.send(new DescribeInstancesCommand({}))).rejects.toMatchObject(refused);
    await expect(scheduler.send(new GetScheduleCommand({ Name: 'x' }))).rejects.toMatchObject(refused);
    const start = new StartExecutionCommand({
      stateMachineArn: 'arn:aws:states:us-east-1:000000000000:stateMachine:m',
    });
    await expect(sfn.send(start)).rejects.toMatchObject(refused);
    expect(backend.received).toEqual([]);
    expect(third.met()).toBe(1);
    expect((await sfn.send(start)).executionArn).toBe('arn:execution');
  });

  it('lose an answer after the work was done, or the request before', async () => {
    const { ec2, proxy, backend } = await setup();
    const lost = (applied: boolean) =>
      proxy.faults.order({ service: 'ec2', action: 'CreateFleet', times: 1, effect: { kind: 'cut', applied } });
    lost(true);
    await expect(ec2.send(fleet('a'))).rejects.toThrow();
    expect(backend.launches()).toBe(1);
    // The same token finds what was launched.
    expect((await ec2.send(fleet('a'))).Instances?.[0]?.InstanceIds).toEqual(['i-00000000000000001']);
    lost(false);
    await expect(ec2.send(fleet('b'))).rejects.toThrow();
    expect(backend.launches()).toBe(1);
  });

  it('hold a request until it is let go', async () => {
    const { ec2, proxy, backend } = await setup();
    const gate = Promise.withResolvers<void>();
    const held = proxy.faults.order({
      service: 'ec2',
      action: 'CreateFleet',
      effect: { kind: 'hold', until: gate.promise },
      when: ({ form }) => form.get('ClientToken') === 'held',
    });
    const waiting = ec2.send(fleet('held'));
    await ec2.send(fleet('other'));
    while (held.met() === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(backend.launches()).toBe(1);
    gate.resolve();
    await waiting;
    expect(backend.launches()).toBe(2);
  });
});

describe('what passes', () => {
  it('is counted by service and action, from a mark on', async () => {
    const { ec2, proxy } = await setup();
    await ec2.send(fleet('a'));
    const mark = proxy.mark();
    await ec2.send(new DescribeInstancesCommand({}));
    await ec2.send(fleet('b'));
    expect(proxy.counts(mark)).toEqual({ 'ec2.CreateFleet': 1, 'ec2.DescribeInstances': 1 });
    expect(proxy.counts()).toEqual({ 'ec2.CreateFleet': 2, 'ec2.DescribeInstances': 1 });
    expect(proxy.entries(mark).map(({ status }) => status)).toEqual([200, 200]);
  });

  it('says how long an object is that was only asked about', async () => {
    const { proxy } = await setup();
    const answer = await fetch(`${proxy.url}/bucket/object`, { method: 'HEAD' });
    expect(answer.headers.get('content-length')).toBe('3145745');
  });

  it('may be Step Functions’ call of one function, known by its name', async () => {
    const { proxy, backend } = await setup();
    const lost = proxy.faults.order({
      service: 'lambda',
      action: 'Invoke',
      when: ({ path }) => path.includes('candor-emulator-dispatch-run'),
      effect: { kind: 'cut', applied: true },
    });
    const scope = 'Credential=test/20260101/us-east-1/lambda/aws4_request';
    const call = (name: string) =>
      fetch(
        `${proxy.url}/2015-03-31/functions/${encodeURIComponent(`arn:aws:lambda:x:0:function:${name}`)}/invocations`,
        {
          method: 'POST',
          body: '{}',
          headers: { authorization: `AWS4-HMAC-SHA256 ${scope}` },
        },
      );
    await expect(call('candor-emulator-dispatch-run')).rejects.toThrow();
    expect(backend.received).toHaveLength(1);
    expect((await call('candor-emulator-launch-vm')).status).toBe(200);
    expect(lost.met()).toBe(1);
    expect(proxy.counts()).toEqual({ 'lambda.Invoke': 2 });
  });

  it('carries the reason of an end that was explained', async () => {
    const { ec2, proxy } = await setup();
    const reason = { code: 'Server.SpotInstanceTermination', message: 'Spot instance termination' };
    proxy.explainEnd('i-00000000000000001', reason);
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({}));
    expect(Reservations?.[0]?.Instances?.[0]?.StateReason).toEqual({ Code: reason.code, Message: reason.message });
  });
});
