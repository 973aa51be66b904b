import { readdirSync } from 'node:fs';
import type { Context } from 'aws-lambda';
import type { LambdaEvent } from 'hono/aws-lambda';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { marshallItem } from '../../adapters/aws/marshall.ts';
import { sealsWith } from '../../adapters/system/seals.ts';
import { systemTime } from '../../adapters/system/time.ts';
import { feedShardOf } from '../../core/feed/model.ts';
import { fire } from '../../core/schedules/fire.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { launchVm } from '../../core/vms/provision.ts';
import { createWebhook, testWebhook } from '../../core/webhooks/service.ts';
import { type FakeEndpoint, fakeEmptyEc2, fakeSecretsManager } from '../support/aws/endpoints.ts';
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
const SIGNING_SECRET = 'arn:aws:secretsmanager:eu-central-1:000000000000:secret:signing';
const SEALING_SECRET = 'arn:aws:secretsmanager:eu-central-1:000000000000:secret:sealing';
const ADMIN_SECRET = 'arn:aws:secretsmanager:eu-central-1:000000000000:secret:admin';
const ADMIN_TOKEN = 'an-administrator-of-a-fresh-installation';

let secretsManager: FakeEndpoint;
let emptyEc2: FakeEndpoint;
beforeAll(async () => {
  secretsManager = await fakeSecretsManager({
    [SIGNING_SECRET]: JSON.stringify({ kid: '1', key: 'k'.repeat(43) }),
    [ADMIN_SECRET]: `${ADMIN_TOKEN}\n`,
    [SEALING_SECRET]: 's'.repeat(64),
  });
  emptyEc2 = await fakeEmptyEc2();
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
    CANDOR_SCHEDULE_GROUP: 'candor-test',
    CANDOR_SCHEDULE_ROLE_ARN: 'arn:aws:iam::000000000000:role/scheduler',
    CANDOR_SCHEDULE_DLQ_ARN: 'arn:aws:sqs:eu-central-1:000000000000:dead-letters',
    CANDOR_FIRE_FUNCTION_ARN: 'arn:aws:lambda:eu-central-1:000000000000:function:fire',
    CANDOR_BUCKET: 'candor-test',
    CANDOR_SIGNING_SECRET_ARN: SIGNING_SECRET,
    CANDOR_SEALING_SECRET_ARN: SEALING_SECRET,
    CANDOR_SECRET_PREFIX: 'candor/test/',
    CANDOR_ADMIN_TOKEN_SECRET_ARN: ADMIN_SECRET,
    CANDOR_INSTALLATION: 'candor-test',
    CANDOR_LAUNCH_TEMPLATE_ID: 'lt-1',
    CANDOR_POOLS: JSON.stringify([
      {
        subnetId: 'subnet-a',
        availabilityZone: 'eu-central-1a',
        architecture: 'x86_64',
        instanceTypes: [{ type: 'm7i.large', vcpu: 2, memoryMiB: 8192 }],
        markets: ['on_demand'],
      },
    ]),
    AWS_ENDPOINT_URL_SECRETS_MANAGER: secretsManager.endpoint,
    AWS_ENDPOINT_URL_EC2: emptyEc2.endpoint,
  });
});
afterAll(async () => {
  secretsManager.stop();
  emptyEc2.stop();
  await engine.stop();
});

/** A run that waits for its VM, as the state machine finds it. */
async function queuedRun() {
  const agent = await world.agent();
  const schedule = await world.schedule(agent.id);
  world.now = MONDAY_NOON + 5 * 60_000;
  const fired = await fire(world.ports, { scheduleId: schedule.id, scheduledTime: world.now });
  world.now = MONDAY_NOON;
  return { tenantId: world.caller.tenantId, runId: 'runId' in fired ? fired.runId : '', attempt: 1 };
}

const SUPPORT = ['environment.ts', 'executionEvent.ts', 'log.ts', 'ports', 'wrap.ts'];

describe('every handler', () => {
  const states = readdirSync(new URL('../../lambdas', import.meta.url)).filter(
    (file) => ![...SUPPORT, 'api.ts', 'audit.ts', 'register.ts', 'watchdog.ts'].includes(file),
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
      Error: 'LaunchMisconfigured',
      Cause: JSON.stringify({ errorMessage: 'no m7i.large in three zones' }),
    };
    expect(await handler({ ...run, failure }, context)).toEqual({ outcome: 'finished' });
    expect(await handler({ ...run, failure }, context)).toEqual({ outcome: 'already' });
    const row = await world.ports.store.get(keys.run(run.runId));
    expect(row).toMatchObject({
      status: 'failed',
      reason: 'launch_misconfigured',
      evidence: { detail: 'LaunchMisconfigured: no m7i.large in three zones' },
    });
  });
});

describe('deliver', () => {
  it('sends what the stream hands to it, and what is due: signed with the secret that was sealed', async () => {
    const key = Buffer.from('s'.repeat(64), 'utf8');
    const ports = { ...world.ports, seals: sealsWith(async () => key) };
    const { id } = await createWebhook(ports, world.caller, { url: 'https://hooks.invalid/', events: ['*'] });
    const delivery = await testWebhook({ ...ports, time: systemTime }, world.caller, id);
    const { handler } = await import('../../lambdas/deliver.ts');
    const record = { eventName: 'INSERT', dynamodb: { Keys: { pk: { S: `DLV#${delivery.id}` }, sk: { S: 'META' } } } };
    expect(await handler({ Records: [record] }, context)).toEqual({ leftOver: false });
    // A name of RFC 6761 that is never found: the try was made, and told of.
    const row = await world.ports.store.get(keys.delivery(delivery.id));
    expect(row).toMatchObject({ status: 'pending', attempts: [{ outcome: 'failed' }] });
    expect(JSON.stringify(row)).not.toContain('cannot be opened');
    const tick = { source: 'aws.events', 'detail-type': 'Scheduled Event' };
    expect(await handler(tick, context)).toEqual({ counts: {}, leftOver: false });
  });
});

describe('the API handler', () => {
  const request = (
    path: string,
    more: { method?: string; bearer?: string; body?: object; signer?: string } = {},
  ): LambdaEvent => {
    const { method = 'GET', bearer, body, signer } = more;
    return {
      version: '2.0',
      routeKey: '$default',
      rawPath: path,
      rawQueryString: '',
      headers: {
        ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      isBase64Encoded: false,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      requestContext: {
        http: { method, path, protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 'test' },
        ...(signer !== undefined && { authorizer: { iam: { userArn: signer } } }),
      },
    } as unknown as LambdaEvent;
  };
  const call = async (...args: Parameters<typeof request>) => {
    const { handler } = await import('../../lambdas/api.ts');
    const answer = (await handler(request(...args), context)) as { statusCode: number; body: string };
    return { status: answer.statusCode, body: JSON.parse(answer.body || '{}') as Record<string, unknown> };
  };

  it('answers health to everybody, and everything else to nobody without a credential', async () => {
    expect(await call('/v1/health')).toMatchObject({ status: 200 });
    expect(await call('/v1/runs')).toMatchObject({ status: 401, body: { code: 'unauthenticated' } });
    for (const bearer of ['wrong', `${ADMIN_TOKEN}x`, ADMIN_TOKEN.slice(1), 'x'.repeat(ADMIN_TOKEN.length)])
      expect(await call('/v1/runs', { bearer })).toMatchObject({ status: 401 });
  });

  it('opens to the token that the stack generated, and its holder is there for what fires later', async () => {
    const body = { name: 'made through the Lambda', command: ['true'] };
    const made = await call('/v1/agents', { method: 'POST', bearer: ADMIN_TOKEN, body });
    expect(made).toMatchObject({ status: 201, body: { createdBy: 'usr_admin' } });
    expect(await world.ports.store.get(keys.principal('usr_admin'))).toMatchObject({ status: 'active' });
    expect(await call(`/v1/agents/${made.body.id}`, { bearer: ADMIN_TOKEN })).toMatchObject({ status: 200 });
  });

  it('lets a runner in at its own door by its token, and nowhere else; a run reads itself', async () => {
    const { SecretTokens } = await import('../../adapters/aws/tokens.ts');
    const { SecretsManagerClient } = await import('@aws-sdk/client-secrets-manager');
    const tokens = new SecretTokens({
      client: new SecretsManagerClient({}),
      arn: SIGNING_SECRET,
      time: { now: () => Date.now() },
    });
    const later = Date.now() + 60_000;
    const vmId = `vm_${'0'.repeat(26)}`;
    const vm = await tokens.sign({ kind: 'vm', tenantId: 'default', vmId, generation: 1 }, later);
    const beat = { vmId, generation: 1, seq: 1, registry: [], acks: 0 };
    const heartbeat = await call('/runner/v1/heartbeat', { method: 'POST', bearer: vm, body: beat });
    // Its token was taken: what is missing is the VM.
    expect(heartbeat.body.detail).toBe(`There is no VM ${vmId}.`);
    const forged = await call('/runner/v1/heartbeat', { method: 'POST', bearer: `${vm}x`, body: beat });
    expect(forged.body.detail).toBe('The token is not a valid vm token.');
    expect(await call('/v1/runs', { bearer: vm })).toMatchObject({ status: 401 });
    expect(await call('/runner/v1/heartbeat', { method: 'POST', bearer: ADMIN_TOKEN, body: beat })).toMatchObject({
      status: 401,
    });
    const runId = `run_${'0'.repeat(26)}`;
    const run = await tokens.sign({ kind: 'run', tenantId: 'default', vmId, runId, attempt: 1 }, later);
    expect(await call(`/v1/runs/${runId}`, { bearer: run })).toMatchObject({ status: 404 });
    expect(await call('/v1/runs', { bearer: run })).toMatchObject({ status: 403 });
  });

  it('knows an AWS role by the signature that API Gateway has checked, once its principal is entered', async () => {
    const signer = 'arn:aws:sts::111122223333:assumed-role/deploy/somebody';
    const me = () => call('/iam/v1/me', { signer });
    expect(await me()).toMatchObject({ status: 401 });
    const body = { name: 'deploy', arn: 'arn:aws:iam::111122223333:role/teams/red/deploy', role: 'viewer' };
    const made = await call('/v1/principals', { method: 'POST', bearer: ADMIN_TOKEN, body });
    expect(made).toMatchObject({ status: 201, body: { kind: 'aws' } });
    expect(await me()).toMatchObject({ status: 200, body: { principalId: made.body.id, role: 'viewer' } });
    expect(await call('/iam/v1/principals', { signer })).toMatchObject({ status: 403 });
    // Whoever comes through the other door may say what they like: only the context counts.
    expect(await call('/v1/me', { bearer: signer })).toMatchObject({ status: 401 });
    const again = await call('/v1/principals', { method: 'POST', bearer: ADMIN_TOKEN, body });
    expect(again).toMatchObject({ status: 409, body: { code: 'name_taken' } });
  });

  it('asks for its secrets once, not at every request', async () => {
    const before = secretsManager.asked.length;
    for (let time = 0; time < 3; time++) await call('/v1/agents', { bearer: ADMIN_TOKEN });
    expect(secretsManager.asked.length - before).toBeLessThanOrEqual(2);
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

  it('says which schedule missed an occurrence or began late, by the entries of its ledger', async () => {
    const { handler } = await import('../../lambdas/events.ts');
    const { log } = await import('../../lambdas/log.ts');
    const said: unknown[] = [];
    const warn = vi.spyOn(log, 'warn').mockImplementation((event, facts) => said.push([event, facts]));
    const NOON = Date.UTC(2027, 2, 1, 12);
    const entry = (
      minute: number,
      disposition: string,
      lateSeconds: number,
      more: Record<string, string | number> = {},
    ) => {
      const at = NOON + minute * 60_000;
      const row = { ...keys.occurrence('sch_x', at), schemaVersion: 1, tenantId: 't', scheduleId: 'sch_x', at };
      const item = { ...row, disposition, decidedAt: at + lateSeconds * 1000, ...more };
      return { eventName: 'INSERT', dynamodb: { SequenceNumber: String(minute), NewImage: marshallItem(item) } };
    };
    await handler(
      {
        Records: [
          entry(1, 'dispatched', 60),
          entry(2, 'dispatched', 61.5),
          entry(3, 'skipped', 300),
          entry(4, 'missed', 4000, { through: NOON + 6 * 60_000, count: 3 }),
          entry(5, 'dispatched', 90_000, { backfillId: 'b' }),
        ],
      },
      context,
    );
    warn.mockRestore();
    const whose = { tenantId: 't', scheduleId: 'sch_x' };
    expect(said).toEqual([
      ['fire.late', { ...whose, occurrence: '2027-03-01T12:02:00Z', lateSeconds: 61.5 }],
      [
        'occurrence.missed',
        { ...whose, occurrence: '2027-03-01T12:04:00Z', count: 3, through: '2027-03-01T12:06:00Z' },
      ],
    ]);
  });

  it('writes the feed up to the record that failed, and once where records come again', async () => {
    const { handler } = await import('../../lambdas/events.ts');
    const record = (sequence: number, schemaVersion = 1) => {
      const key = keys.runEvent('run_x', sequence);
      const facts = {
        tenantId: 'fed',
        subject: 'run',
        subjectId: 'run_x',
        sequence,
        type: 'run.x',
        at: 1,
        writer: 'w',
      };
      const image = marshallItem({ ...key, schemaVersion, ...facts, detail: {} });
      return { eventName: 'INSERT', dynamodb: { SequenceNumber: String(sequence), NewImage: image } };
    };
    const fed = async () =>
      (await world.ports.store.query({ pk: `FEED#fed#${feedShardOf('run_x')}`, prefix: 'B#', limit: 10 })).items.map(
        ({ refs }) => refs,
      );
    const batch = { Records: [record(1), record(2), record(3, 99), record(4)] };
    expect(await handler(batch, context)).toEqual({ batchItemFailures: [{ itemIdentifier: '3' }] });
    expect(await handler(batch, context)).toEqual({ batchItemFailures: [{ itemIdentifier: '3' }] });
    expect(await fed()).toEqual([['RUN#run_x EVT#0000000001', 'RUN#run_x EVT#0000000002']]);
    await handler({ Records: [record(3), record(4)] }, context);
    expect((await fed()).flat()).toHaveLength(4);
  });
});

describe('the watchdog handler', () => {
  it('ticks and publishes its proof of life', async () => {
    const { handler } = await import('../../lambdas/watchdog.ts');
    expect(await handler({}, context)).toMatchObject({ failures: 0 });
    expect(await world.ports.store.get(keys.system('watchdog'))).toMatchObject({ owner: 'candor' });
  });
});

describe('the audit handler', () => {
  it('goes through what there is, as far as it can: without a clock to ask it stops there, and goes on next time', async () => {
    const { handler } = await import('../../lambdas/audit.ts');
    await expect(handler({}, context)).rejects.toMatchObject({ name: 'ClockUnavailable' });
    expect(await world.ports.store.get(keys.system('audit.state'))).toMatchObject({ cycle: 1, stage: 'clocks' });
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
    const answer = await handler(event as never, context);
    // API Gateway adds none of these by itself.
    expect(answer.headers).toMatchObject({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'strict-transport-security': 'max-age=63072000; includeSubDomains',
      'x-request-id': context.awsRequestId,
      'content-type': expect.stringMatching(
        answer.statusCode === 200 ? /^application.json/ : /^application.problem.json/,
      ),
    });
    return [answer.statusCode, (JSON.parse(answer.body ?? '') as { code?: string }).code];
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
    expect(await call(session(instanceId), body)).toEqual([200, undefined]);
    expect(await call(session(instanceId), { ...body, nonce: 'nonce-of-the-next-one' })).toEqual([200, undefined]);
    expect(await call(session(instanceId), body)).toEqual([409, 'stale_generation']);
  });

  it('fails the function where the fault is ours, so that its alarm sees it', async () => {
    const { CANDOR_VM_ROLE: role } = process.env;
    delete process.env.CANDOR_VM_ROLE;
    const body = { vmId: `vm_${'0'.repeat(26)}`, nonce: 'nonce-of-an-instance', runnerVersion: 'test' };
    await expect(call(session('i-00000000000000000'), body)).rejects.toThrow('CANDOR_VM_ROLE is missing');
    process.env.CANDOR_VM_ROLE = role;
    expect(await call(session('i-00000000000000000'), body)).toEqual([503, 'try_again']);
  });
});
