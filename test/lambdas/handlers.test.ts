import { readdirSync } from 'node:fs';
import type { Context } from 'aws-lambda';
import type { LambdaEvent } from 'hono/aws-lambda';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { marshallItem } from '../../adapters/aws/marshall.ts';
import { fire } from '../../core/schedules/fire.ts';
import { keys } from '../../core/table/keys.ts';
import { launchVm } from '../../core/vms/provision.ts';
import { MONDAY_NOON, type TestEngine, testEngine, type World } from '../support/world.ts';

const context = {
  awsRequestId: 'request-1',
  functionName: 'candor',
  functionVersion: '1',
  memoryLimitInMB: '256',
  getRemainingTimeInMillis: () => 30_000,
} as Context;

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
  world = await engine.world();
  Object.assign(process.env, {
    CANDOR_TABLE: world.tableName,
    CANDOR_VM_ROLE: 'candor-vm',
    CANDOR_DYNAMODB_ENDPOINT: engine.endpoint,
    CANDOR_STATE_MACHINE_ARN: 'arn:aws:states:eu-central-1:000000000000:stateMachine:provision-vm',
    AWS_REGION: 'eu-central-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    POWERTOOLS_LOG_LEVEL: 'SILENT',
  });
});
afterAll(() => engine.stop());

/** A run that waits for its VM, as the state machine finds it. */
async function queuedRun() {
  const agent = await world.agent();
  const schedule = await world.schedule(agent.id);
  world.now = MONDAY_NOON + 5 * 60_000;
  const fired = await fire(world.ports, { scheduleId: schedule.id, scheduledTime: world.now });
  world.now = MONDAY_NOON;
  return { tenantId: world.caller.tenantId, runId: 'runId' in fired ? fired.runId : '', attempt: 1 };
}

describe('every handler', () => {
  const states = readdirSync(new URL('../../lambdas', import.meta.url)).filter(
    (file) => !['api.ts', 'environment.ts', 'ports.ts', 'register.ts', 'wrap.ts', 'watchdog.ts'].includes(file),
  );

  it.each(states)('%s refuses an event that is not its own, by name', async (file) => {
    const { handler } = (await import(/* @vite-ignore */ new URL(`../../lambdas/${file}`, import.meta.url).href)) as {
      handler: (event: unknown, context: Context) => Promise<unknown>;
    };
    await expect(handler({ nonsense: true }, context)).rejects.toMatchObject({ name: 'InvalidEvent' });
  });
});

describe('the states of provision-vm', () => {
  it('throw what the state machine names: a run that is gone, and a launch that AWS cannot do yet', async () => {
    const { handler } = await import('../../lambdas/launch-vm.ts');
    await expect(handler({ tenantId: 'local', runId: 'run_none', attempt: 1 }, context)).rejects.toMatchObject({
      name: 'RunMovedOn',
    });
  });

  it('fail the run with the cause that the Catch hands over', async () => {
    const run = await queuedRun();
    const { handler } = await import('../../lambdas/fail-run.ts');
    const failure = {
      Error: 'CapacityUnavailable',
      Cause: JSON.stringify({ errorMessage: 'no m7i.large in three zones' }),
    };
    expect(await handler({ ...run, failure }, context)).toEqual({ outcome: 'finished' });
    expect(await handler({ ...run, failure }, context)).toEqual({ outcome: 'already' });
    const row = await world.ports.store.get(keys.run(run.runId));
    expect(row).toMatchObject({
      status: 'failed',
      reason: 'capacity',
      evidence: { detail: 'CapacityUnavailable: no m7i.large in three zones' },
    });
  });
});

describe('the API handler', () => {
  const request = (path: string): LambdaEvent =>
    ({
      version: '2.0',
      routeKey: '$default',
      rawPath: path,
      rawQueryString: '',
      headers: {},
      isBase64Encoded: false,
      requestContext: { http: { method: 'GET', path, protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 'test' } },
    }) as unknown as LambdaEvent;

  it('answers health to everybody and everything else to nobody', async () => {
    const { handler } = await import('../../lambdas/api.ts');
    expect(await handler(request('/v1/health'), context)).toMatchObject({ statusCode: 200 });
    const refused = (await handler(request('/v1/runs'), context)) as { statusCode: number; body: string };
    expect(refused.statusCode).toBe(401);
    expect(JSON.parse(refused.body)).toMatchObject({ code: 'unauthenticated' });
  });
});

describe('the stream handler', () => {
  it('reports the record that failed, and takes what is not an event for nothing', async () => {
    const { handler } = await import('../../lambdas/events.ts');
    const record = (number: string, item: Record<string, string | number>) => ({
      eventName: 'INSERT',
      dynamodb: { SequenceNumber: number, NewImage: marshallItem(item) },
    });
    const harmless = record('1', { pk: 'RUN#run_x', sk: 'META', schemaVersion: 1 });
    const newer = record('2', { pk: 'RUN#run_x', sk: 'EVT#0000000001', schemaVersion: 99 });
    expect(await handler({ Records: [harmless] }, context)).toEqual({ batchItemFailures: [] });
    expect(await handler({ Records: [harmless, newer] }, context)).toEqual({
      batchItemFailures: [{ itemIdentifier: '2' }],
    });
  });
});

describe('the watchdog handler', () => {
  it('ticks and publishes its proof of life', async () => {
    const { handler } = await import('../../lambdas/watchdog.ts');
    expect(await handler({}, context)).toMatchObject({ failures: 0 });
    expect(await world.ports.store.get(keys.system('watchdog'))).toMatchObject({ owner: 'candor' });
  });
});

describe('an execution that was ended', () => {
  const change = (input: object, status: string) => ({
    source: 'aws.states',
    'detail-type': 'Step Functions Execution Status Change',
    detail: { status, executionArn: 'arn:x', input: JSON.stringify(input), cause: 'stopped by hand' },
  });

  it('from outside leaves its run at the next attempt, with the cause, and says nothing of one that is dispatched', async () => {
    const { handler } = await import('../../lambdas/execution-ended.ts');
    const input = await queuedRun();
    await launchVm(world.ports, input);
    await expect(handler(change(input, 'ABORTED'), context)).resolves.toBeUndefined();
    await handler(change(input, 'ABORTED'), context);
    const run = await world.ports.store.get(keys.run(input.runId));
    expect(run).toMatchObject({ status: 'queued', attempt: 2, attempts: [{ reason: 'provisioning_failed' }] });
    await expect(
      handler({ detail: { ...change(input, 'ABORTED').detail, input: 'x' } }, context),
    ).rejects.toMatchObject({ name: 'InvalidEvent' });
  });
});

describe('the registration of an instance', () => {
  const call = async (userArn: string | undefined, body: unknown) => {
    const { handler } = await import('../../lambdas/register.ts');
    const event = {
      requestContext: userArn === undefined ? {} : { authorizer: { iam: { userArn } } },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    };
    const answer = (await handler(event as never, context)) as { statusCode: number; body: string };
    return [answer.statusCode, (JSON.parse(answer.body) as { code?: string }).code];
  };
  const session = (instanceId: string) => `arn:aws:sts::123456789012:assumed-role/candor-vm/${instanceId}`;

  it('is for the instance that was launched for the VM, by the name of its session, and for nobody else', async () => {
    const input = await queuedRun();
    const { vmId } = await launchVm(world.ports, input);
    const instanceId = 'i-0123456789abcdef0';
    await world.ports.store.transact([{ kind: 'update', key: keys.vm(vmId), set: { instanceId }, guards: [] }]);
    const body = { vmId, nonce: 'nonce-of-an-instance', runnerVersion: 'test' };
    expect(await call(session('i-00000000000000000'), body)).toEqual([401, 'unauthenticated']);
    // Whoever may assume another role can give its session any name.
    const another = session(instanceId).replace('candor-vm', 'Admin');
    expect(await call(another, body)).toEqual([401, 'unauthenticated']);
    expect(await call(undefined, body)).toEqual([401, 'unauthenticated']);
    expect(await call('arn:aws:iam::123456789012:user/somebody', body)).toEqual([401, 'unauthenticated']);
    expect(await call(session(instanceId), '{')).toEqual([400, 'malformed_json']);
    expect(await call(session(instanceId), { vmId })).toEqual([422, 'invalid_request']);
    expect(await call(session(instanceId), { ...body, vmId: `vm_${'0'.repeat(26)}` })).toEqual([503, 'try_again']);
  });
});
