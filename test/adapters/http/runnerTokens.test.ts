/** Tokens of runners and runs at the running app, with both modes' signatures: what each opens, and from when on nothing. */
import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SecretTokens } from '../../../adapters/aws/tokens.ts';
import { createTokens } from '../../../adapters/local/tokens.ts';
import type { Tokens } from '../../../core/ports.ts';
import { launchVm } from '../../../core/vms/provision.ts';
import {
  type Answer,
  createHttpWorld,
  type Engine,
  type HttpWorld,
  makeAgent,
  startHttpEngine,
} from '../../support/httpWorld.ts';

const HOUR_MS = 3_600_000;
const START = Date.parse('2027-01-01T00:00:00Z');

interface Mode {
  readonly tokens: Tokens;
  /** Signs with a new key from now on; the one before it verifies, until the next time. */
  readonly rotate: () => void;
}

function onOneMachine(): Mode {
  const keyOf = (letter: string) => Buffer.alloc(32, letter).toString('base64url');
  let [letter, tokens] = ['a', createTokens(keyOf('a'))];
  return {
    // A server that was started anew, with what `--rotate-signing-key` leaves in the data folder.
    tokens: { sign: (...of) => tokens.sign(...of), verify: (...of) => tokens.verify(...of) },
    rotate: () => {
      const next = String.fromCharCode(letter.charCodeAt(0) + 1);
      [letter, tokens] = [next, createTokens(keyOf(next), keyOf(letter))];
    },
  };
}

function onAws(): Mode {
  let keys = [{ kid: '1', key: '1'.repeat(43) }];
  let now = START;
  const client = { send: async () => ({ SecretString: JSON.stringify({ keys }) }) } as unknown as SecretsManagerClient;
  return {
    tokens: new SecretTokens({ client, arn: 'arn', time: { now: () => now } }),
    rotate: () => {
      const kid = String(keys.length + Number(keys[0]!.kid));
      keys = [{ kid, key: kid.repeat(43).slice(0, 43) }, keys[0]!];
      // Every function has read the new keys by then.
      now += 61_000;
    },
  };
}

let engine: Engine;
beforeAll(async () => {
  engine = await startHttpEngine();
});
afterAll(() => engine.stop());

describe.each([
  ['one machine', onOneMachine],
  ['AWS', onAws],
] as const)('on %s', (_name, mode) => {
  let world: HttpWorld;
  let signing: Mode;
  beforeEach(async () => {
    signing = mode();
    world = await createHttpWorld(engine, { tokens: signing.tokens });
  });

  async function launched() {
    const agent = await makeAgent(world);
    const run = (await world.send('POST', `/v1/agents/${agent.id}/runs`, { body: {} })).body;
    const { vmId } = await launchVm(world.ports, world.executions.at(-1)!.input);
    const key = await world.launches.at(-1)!.registrationKey();
    return { runId: run.id as string, vmId, key };
  }
  const register = (vmId: string, key: string, nonce = `nonce of ${vmId}`) =>
    world.send('POST', '/runner/v1/register', { token: key, body: { vmId, nonce, runnerVersion: '1' } });

  /** A runner that keeps count as the real one does. */
  async function runner() {
    const start = await launched();
    const { token } = (await register(start.vmId, start.key)).body;
    let [seq, acks] = [0, 0];
    const beat = async (bearer: string, registry: readonly object[] = []): Promise<Answer> => {
      seq += 1;
      const body = { vmId: start.vmId, generation: 1, seq, acks, registry };
      const answer = await world.send('POST', '/runner/v1/heartbeat', { token: bearer, body });
      acks = Math.max(acks, ...(answer.body?.commands ?? []).map((command: { number: number }) => command.number));
      return answer;
    };
    const first = await beat(token);
    const { runToken } = first.body.commands[0];
    return { ...start, token: token as string, runToken: runToken as string, beat };
  }
  const entry = (runId: string, more: object) => ({ runId, attempt: 1, pid: 7, startedAgoMs: 9, ...more });
  const putChunk = (runId: string, token: string, chunk = 0) =>
    world.send('PUT', `/runner/v1/runs/${runId}/attempts/1/logs/${chunk}`, {
      token,
      body: { records: [{ atMs: 0, stream: 'stdout', text: `chunk ${chunk}` }] },
    });
  const readRun = async (runId: string) => (await world.send('GET', `/v1/runs/${runId}`)).body;
  const refused = (answer: Answer) => [answer.status, answer.body?.code];

  test('a registration that another has superseded is refused when it comes again, and the one that stands works on', async () => {
    const { vmId, key } = await launched();
    const first = await register(vmId, key, 'the first runner');
    const second = await register(vmId, key, 'the second runner');
    expect([first.body.generation, second.body.generation]).toEqual([1, 2]);
    for (let times = 0; times < 2; times++)
      expect(refused(await register(vmId, key, 'the first runner'))).toEqual([409, 'stale_generation']);
    const body = { vmId, generation: 2, seq: 1, acks: 0, registry: [] };
    expect((await world.send('POST', '/runner/v1/heartbeat', { token: second.body.token, body })).status).toBe(200);
    // Its own, once more: the answer may have been lost.
    expect((await register(vmId, key, 'the second runner')).body.generation).toBe(2);
    await register(vmId, key, 'the third runner');
    for (const nonce of ['the first runner', 'the second runner'])
      expect(refused(await register(vmId, key, nonce))).toEqual([409, 'stale_generation']);
    expect((await world.send('GET', `/v1/vms/${vmId}`)).body.generation).toBe(3);
  });

  test("no credential opens another's door: a VM's, a run's, a session's", async () => {
    const [mine, other] = [await runner(), await runner()];
    const heartbeatOf = (vmId: string, token: string) =>
      world.send('POST', '/runner/v1/heartbeat', {
        token,
        body: { vmId, generation: 1, seq: 99, acks: 0, registry: [] },
      });
    expect(refused(await register(mine.vmId, other.key))).toEqual([401, 'unauthenticated']);
    for (const wrong of [other.token, mine.key, mine.runToken, other.runToken])
      expect(refused(await heartbeatOf(mine.vmId, wrong))).toEqual([401, 'unauthenticated']);
    expect(refused(await putChunk(mine.runId, other.token))).toEqual([404, 'not_found']);
    for (const wrong of [mine.key, mine.runToken]) expect((await putChunk(mine.runId, wrong)).status).toBe(401);
    // A run's token reads its own run, and neither another one nor one of the sessions that the API will have.
    expect((await world.send('GET', `/v1/runs/${mine.runId}`, { token: mine.runToken })).status).toBe(200);
    expect(refused(await world.send('GET', `/v1/runs/${other.runId}`, { token: mine.runToken }))).toEqual([
      404,
      'not_found',
    ]);
    expect((await world.send('GET', `/v1/sessions/ses_${'0'.repeat(26)}`, { token: mine.runToken })).status).toBe(404);
    for (const token of [mine.token, mine.key])
      expect((await world.send('GET', `/v1/runs/${mine.runId}`, { token })).status).toBe(401);
    expect(world.chunks.size).toBe(0);
    expect((await readRun(mine.runId)).status).toBe('starting');
  });

  test('heartbeats replace a token in the middle of its life; the old one works until the new one is used', async () => {
    const { runId, beat, token, vmId, key } = await runner();
    await beat(token, [entry(runId, { state: 'running' })]);
    world.now.ms += HOUR_MS / 2;
    expect((await beat(token, [entry(runId, { state: 'running' })])).body.token).toBeUndefined();
    world.now.ms += 1000;
    const lost = (await beat(token, [entry(runId, { state: 'running' })])).body.token as string;
    expect(lost).toBeDefined();
    // That answer got lost: the old one still works, and the new one is offered again.
    const fresh = (await beat(token, [entry(runId, { state: 'running' })])).body.token as string;
    expect((await putChunk(runId, token)).status).toBe(204);
    const answer = await beat(fresh, [entry(runId, { state: 'running' })]);
    expect([answer.status, answer.body.token]).toEqual([200, undefined]);
    for (const old of [await beat(token), await putChunk(runId, token, 1)])
      expect(refused(old)).toEqual([401, 'unauthenticated']);
    expect((await putChunk(runId, fresh, 1)).status).toBe(204);
    // Whoever has lost the new one registers again, in the same generation.
    const again = (await register(vmId, key)).body;
    expect(again.generation).toBe(1);
    expect((await beat(again.token, [entry(runId, { state: 'running' })])).status).toBe(200);
  });

  test('a token that no heartbeat has replaced ends by itself', async () => {
    const { runId, beat, token, vmId, key } = await runner();
    world.now.ms += HOUR_MS;
    for (const late of [await beat(token), await putChunk(runId, token)])
      expect(refused(late)).toEqual([401, 'unauthenticated']);
    expect((await beat((await register(vmId, key)).body.token)).status).toBe(200);
  });

  test('after an attempt has ended its VM adds nothing, and its run may do nothing more', async () => {
    const { runId, beat, token, runToken } = await runner();
    const { agentId } = await readRun(runId);
    const child = () => world.send('POST', `/v1/agents/${agentId}/runs`, { token: runToken, body: {} });
    expect((await child()).status).toBe(202);
    await beat(token, [entry(runId, { state: 'running' })]);
    await beat(token, [entry(runId, { state: 'ended', exitCode: 0 })]);
    const ended = await readRun(runId);
    expect(ended.status).toBe('succeeded');
    await beat(token, [entry(runId, { state: 'ended', exitCode: 3 })]);
    await beat(token, [entry(runId, { state: 'running' })]);
    expect(refused(await putChunk(runId, token))).toEqual([409, 'run_ended']);
    expect(refused(await child())).toEqual([409, 'run_ended']);
    expect(await readRun(runId)).toEqual({ ...ended, asOf: expect.any(String) });
  });

  test('after an attempt was lost exactly one more write is taken: the evidence for a correction', async () => {
    const { runId, beat, token } = await runner();
    await beat(token, [entry(runId, { state: 'running' })]);
    await beat(token);
    await beat(token);
    const lost = await readRun(runId);
    expect([lost.status, lost.correction]).toEqual(['lost', undefined]);
    await beat(token, [entry(runId, { state: 'ended', exitCode: 0 })]);
    const corrected = await readRun(runId);
    expect(corrected).toMatchObject({ status: 'lost', correction: { status: 'succeeded', exitCode: 0 } });
    expect(corrected.version).toBe(lost.version + 1);
    for (const exitCode of [1, 0]) await beat(token, [entry(runId, { state: 'ended', exitCode })]);
    await beat(token, [entry(runId, { state: 'gone' })]);
    expect(refused(await putChunk(runId, token))).toEqual([409, 'run_ended']);
    expect(await readRun(runId)).toEqual({ ...corrected, asOf: expect.any(String) });
  });

  test('signing keys rotate under work: no request is refused, and two rotations later nothing of before is worth anything', async () => {
    const { runId, vmId, key, beat, token, runToken } = await runner();
    await beat(token, [entry(runId, { state: 'running' })]);
    signing.rotate();
    // What the key before has signed: the registration, the runner's token, the run's token.
    expect((await beat(token, [entry(runId, { state: 'running' })])).status).toBe(200);
    expect((await world.send('GET', `/v1/runs/${runId}`, { token: runToken })).status).toBe(200);
    const young = (await register(vmId, key)).body.token as string;
    expect((await beat(young, [entry(runId, { state: 'running' })])).status).toBe(200);
    expect((await putChunk(runId, token)).status).toBe(204);
    signing.rotate();
    expect((await beat(young, [entry(runId, { state: 'running' })])).status).toBe(200);
    for (const old of [await beat(token), await putChunk(runId, token, 1), await register(vmId, key)])
      expect(refused(old)).toEqual([401, 'unauthenticated']);
    expect((await world.send('GET', `/v1/runs/${runId}`, { token: runToken })).status).toBe(401);
    expect((await readRun(runId)).status).toBe('running');
  });
});
