import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { TokenClaims } from '../../../core/ports.ts';
import { launchVm } from '../../../core/vms/provision.ts';
import { createHttpWorld, type Engine, type HttpWorld, makeAgent, startHttpEngine } from '../../support/httpWorld.ts';

let engine: Engine;
let world: HttpWorld;

beforeAll(async () => {
  engine = await startHttpEngine();
});
beforeEach(async () => {
  world = await createHttpWorld(engine);
});
afterAll(() => engine.stop());

const sign = (claims: TokenClaims) => world.ports.tokens.sign(claims, world.now.ms + 3_600_000);
const NONCE = 'nonce-nonce-nonce';

/** A run whose VM has been launched but has not registered. */
async function launched(input: unknown = 'the input') {
  const agent = await makeAgent(world);
  const run = (await world.send('POST', `/v1/agents/${agent.id}/runs`, { body: { input } })).body;
  const { vmId } = await launchVm(world.ports, world.executions.at(-1)!.input);
  return { runId: run.id as string, vmId, key: await world.launches.at(-1)!.registrationKey() };
}

const register = (vmId: string, key: string, nonce = NONCE) =>
  world.send('POST', '/runner/v1/register', { token: key, body: { vmId, nonce, runnerVersion: '1' } });

async function registered(input?: unknown) {
  const start = await launched(input);
  const answer = await register(start.vmId, start.key);
  expect(answer.status, answer.text).toBe(200);
  return { ...start, token: answer.body.token as string, generation: answer.body.generation as number };
}

const beat = (vmId: string, token: string, fields: object) =>
  world.send('POST', '/runner/v1/heartbeat', {
    token,
    body: { vmId, generation: 1, seq: 1, registry: [], acks: 0, ...fields },
  });

const putChunk = (
  runId: string,
  token: string,
  rest = '1/logs/0',
  records: unknown = [{ atMs: 0, stream: 'stdout', text: 'hi' }],
) => world.send('PUT', `/runner/v1/runs/${runId}/attempts/${rest}`, { token, body: { records } });

describe('registration', () => {
  test('yields a token, twice the same registration for the same nonce, and dispatches the run', async () => {
    const { runId, vmId, key } = await launched();
    const first = await register(vmId, key);
    expect(first.body).toMatchObject({ generation: 1 });
    expect((await register(vmId, key)).body.generation).toBe(1);
    expect((await register(vmId, key, 'another-nonce-0123')).body.generation).toBe(2);
    expect((await world.send('GET', `/v1/runs/${runId}`)).body).toMatchObject({ status: 'starting', vmId });
    const vm = await world.send('GET', `/v1/vms/${vmId}`);
    expect(vm.headers.get('etag')).toBe(`"${vm.body.version}"`);
    expect(vm.body).toMatchObject({ status: 'ready', generation: 2, runs: [{ runId, attempt: 1 }] });
    expect((await world.send('GET', '/v1/vms')).body.items).toHaveLength(1);
  });

  test('before the instance is stored is "retry", not refused', async () => {
    const vmId = `vm_${'0'.repeat(26)}`;
    const answer = await register(vmId, await sign({ kind: 'registration', tenantId: 'tenant_a', vmId }));
    expect([answer.status, answer.body.code, answer.headers.get('retry-after')]).toEqual([503, 'try_again', '1']);
    expect(answer.body.retryable).toBe(true);
  });

  test('with the key of another VM is 401', async () => {
    const { vmId } = await launched();
    const other = await sign({ kind: 'registration', tenantId: 'tenant_a', vmId: 'vm_other' });
    expect((await register(vmId, other)).status).toBe(401);
    expect((await register(vmId, 'wrong')).status).toBe(401);
  });

  test('of another shape is 422 with the field', async () => {
    const { vmId, key } = await launched();
    const answer = await register(vmId, key, 'short');
    expect([answer.status, answer.body.errors[0].pointer]).toEqual([422, '/nonce']);
    expect(answer.body.errors[0].message).toBe('must have at least 16 characters');
  });
});

describe('the heartbeat', () => {
  test('hands out the start with the input as it was sent', async () => {
    const input = { deep: JSON.parse(`${'['.repeat(50)}${']'.repeat(50)}`) };
    const { runId, vmId, token } = await registered(input);
    const answer = await beat(vmId, token, {});
    expect(answer.status, answer.text).toBe(200);
    expect(answer.body.commands).toMatchObject([{ kind: 'start', runId, attempt: 1, input }]);
    const { runToken } = answer.body.commands[0];
    expect((await world.send('GET', `/v1/runs/${runId}`, { token: runToken })).status).toBe(200);
  });

  test('of an older generation, or overtaken, is 409', async () => {
    const { vmId, key, token } = await registered();
    expect((await beat(vmId, token, {})).status).toBe(200);
    expect((await beat(vmId, token, {})).body.code).toBe('stale_heartbeat');
    await register(vmId, key, 'another-nonce-0123');
    expect((await beat(vmId, token, { seq: 9 })).body.code).toBe('stale_generation');
  });

  test('is taken whatever the work wrote as its output', async () => {
    const outputs: [string, (kept: unknown) => void][] = [
      [
        `${'['.repeat(60)}${']'.repeat(60)}`,
        (kept) => expect(JSON.stringify(kept)).toBe(`${'['.repeat(60)}${']'.repeat(60)}`),
      ],
      [`${'['.repeat(500)}${']'.repeat(500)}`, (kept) => expect(kept).toBe(`${'['.repeat(500)}${']'.repeat(500)}`)],
      [`${'['.repeat(200_000)}${']'.repeat(200_000)}`, (kept) => expect(kept).toMatch(/could not keep/)],
      ['{"__proto__":{"a":1}}', (kept) => expect(kept).toBe('{"__proto__":{"a":1}}')],
      ['{"a":1e999}', (kept) => expect(typeof kept).toBe('string')],
      ['"\\ud800"', (kept) => expect(kept).toBe('\ufffd')],
      ['{"a":[1,null]}', (kept) => expect(kept).toEqual({ a: [1, null] })],
    ];
    for (const [output, check] of outputs) {
      const { runId, vmId, token } = await registered();
      const ended = `{"runId":"${runId}","attempt":1,"state":"ended","exitCode":0,"terminatedBy":"self","startedAgoMs":5,"endedAgoMs":1,"output":${output}}`;
      const rawBody = `{"vmId":"${vmId}","generation":1,"seq":1,"acks":1,"registry":[${ended}]}`;
      const answer = await world.send('POST', '/runner/v1/heartbeat', { token, rawBody });
      expect([answer.status, answer.body.acknowledged], answer.text.slice(0, 500)).toEqual([
        200,
        [{ runId, attempt: 1 }],
      ]);
      const run = (await world.send('GET', `/v1/runs/${runId}`)).body;
      expect(run.status).toBe('succeeded');
      check(run.output);
    }
  });
});

describe('a log chunk', () => {
  test('of the VM that holds the marker is stored and can be read', async () => {
    const { runId, token } = await registered();
    for (let twice = 0; twice < 2; twice++) {
      const stored = await putChunk(runId, token);
      expect([stored.status, stored.text]).toEqual([204, '']);
    }
    const logs = await world.send('GET', `/v1/runs/${runId}/logs`);
    expect(logs.body.items).toEqual([{ atMs: 0, stream: 'stdout', text: 'hi' }]);
  });

  test('is 409 with other content, from an older generation, and after the end', async () => {
    const { runId, vmId, key, token } = await registered();
    const other = [{ atMs: 0, stream: 'stdout', text: 'something else' }];
    expect((await putChunk(runId, token)).status).toBe(204);
    expect((await putChunk(runId, token, '1/logs/0', other)).body).toMatchObject({
      status: 409,
      code: 'chunk_conflict',
    });
    const second = (await register(vmId, key, 'another-nonce-0123')).body.token as string;
    expect((await putChunk(runId, token)).body).toMatchObject({ status: 409, code: 'stale_generation' });
    expect((await putChunk(runId, second)).status).toBe(204);
    const registry = [{ runId, attempt: 1, state: 'ended', exitCode: 0, terminatedBy: 'self', logChunks: 1 }];
    expect((await beat(vmId, second, { generation: 2, acks: 1, registry })).status).toBe(200);
    const artifact = `1/artifacts?path=x&bytes=0&sha256=${'a'.repeat(64)}`;
    for (const late of ['1/logs/0', '1/logs/1', artifact])
      expect((await putChunk(runId, second, late)).body).toMatchObject({ status: 409, code: 'run_ended' });
    const logs = await world.send('GET', `/v1/runs/${runId}/logs`);
    expect(logs.body.items).toEqual([{ atMs: 0, stream: 'stdout', text: 'hi' }]);
  });

  test('of another VM, run, attempt or tenant is 404, and nothing is stored', async () => {
    const mine = await registered();
    const other = await registered();
    const foreign = await sign({ kind: 'vm', tenantId: 'tenant_b', vmId: mine.vmId, generation: 1 });
    const waiting = await launched();
    const tries = [
      putChunk(mine.runId, other.token),
      putChunk(mine.runId, foreign),
      putChunk(mine.runId, mine.token, '2/logs/0'),
      putChunk(mine.runId, mine.token, '0/logs/0'),
      putChunk(mine.runId, mine.token, '1/logs/-1'),
      putChunk(mine.runId, mine.token, '1/logs/x'),
      putChunk(mine.runId, mine.token, '1/logs/123456789'),
      putChunk(`run_${'0'.repeat(26)}`, mine.token),
      putChunk('run_1', mine.token),
      // Launched for this run, but not the holder of its marker yet.
      putChunk(waiting.runId, await sign({ kind: 'vm', tenantId: 'tenant_a', vmId: waiting.vmId, generation: 1 })),
    ];
    for (const answer of await Promise.all(tries))
      expect([answer.status, answer.body?.code]).toEqual([404, 'not_found']);
    expect(world.chunks.size).toBe(0);
  });

  test('is at most 1 MiB, and of the shape of the contract', async () => {
    const { runId, token } = await registered();
    const large = await putChunk(runId, token, '1/logs/0', [
      { atMs: 0, stream: 'stdout', text: 'x'.repeat(1024 * 1024) },
    ]);
    expect(large.status).toBe(413);
    const odd = await putChunk(runId, token, '1/logs/0', [{ atMs: -1, stream: 'stdin', line: 'x' }]);
    expect(odd.body.errors).toEqual([
      { pointer: '/records/0/atMs', message: 'must be at least 0' },
      { pointer: '/records/0/stream', message: 'must be one of stdout, stderr, candor' },
      { pointer: '/records/0/line', message: 'is not a known field' },
    ]);
    expect(world.chunks.size).toBe(0);
  });
});
