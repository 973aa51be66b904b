import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileArtifactStore } from '../../../adapters/local/artifactStore.ts';
import { FileLogStore } from '../../../adapters/local/logStore.ts';
import type { LogRecord, Ports } from '../../../core/ports.ts';
import { storeArtifact, storeChunk } from '../../../core/runs/deposits.ts';
import { finishRun } from '../../../core/runs/finish.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { ended, type FakeRunner, MINUTE, newNonce, runningRun, runRow } from '../support.ts';
import { dies, watchdog } from '../vms/support.ts';

let engine: TestEngine;
const dataDir = mkdtempSync(path.join(os.tmpdir(), 'candor-deposits-'));
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(async () => {
  await engine.stop();
  rmSync(dataDir, { recursive: true });
});

const sha256 = (content: string) => createHash('sha256').update(content).digest('hex');
const line = (text: string): LogRecord => ({ atMs: 1, stream: 'stdout', text });

const ELSEWHERE = { kind: 'elsewhere', url: 'https://store/' } as const;

/** A run at work, what its runner stores, and what can be read of it. */
async function atWork(config: Parameters<TestEngine['world']>[0] = {}) {
  const world = await engine.world(config);
  const { id, vmId, runner } = await runningRun(world);
  const stores = { dataDir, time: world.ports.time };
  const ports: Ports = { ...world.ports, logs: new FileLogStore(stores), artifacts: new FileArtifactStore(stores) };
  const identity = (generation = runner.generation) =>
    ({ kind: 'vm', tenantId: world.caller.tenantId, vmId, generation }) as const;
  const put = (chunk: number, text: string | readonly LogRecord[], generation?: number, attempt = 1) =>
    storeChunk(
      ports,
      identity(generation),
      { runId: id, attempt },
      chunk,
      typeof text === 'string' ? [line(text)] : text,
    );
  const file = (content: string, generation?: number, name = 'file') =>
    storeArtifact(
      ports,
      identity(generation),
      { runId: id, attempt: 1 },
      { path: name, bytes: content.length, sha256: sha256(content) },
      new Blob([content]).stream(),
    );
  /** Asks where a file is wanted, of a store that wants it here or elsewhere. */
  const ask = (content: string, elsewhere = false, generation?: number) =>
    storeArtifact(
      elsewhere ? { ...ports, artifacts: { ...ports.artifacts, put: async () => ELSEWHERE } } : ports,
      identity(generation),
      { runId: id, attempt: 1 },
      { path: 'file', bytes: content.length, sha256: sha256(content) },
      undefined,
    );
  const text = async () => {
    const address = { tenantId: world.caller.tenantId, runId: id, attempt: 1 };
    return (await ports.logs.read(address, 0, 100)).records.map((record) => record.text).join('');
  };
  return { world, id, vmId, runner, put, file, ask, text };
}

const refusedWith = (code: string) => expect.objectContaining({ code });

async function takenOver(runner: FakeRunner): Promise<void> {
  runner.nonce = newNonce();
  await runner.register();
}

async function lost(world: World, id: string): Promise<void> {
  const evidence = { source: 'test', observedAt: new Date(world.now).toISOString(), detail: 'no evidence' };
  await finishRun(world.ports, id, { status: 'lost', reason: 'ended_unreported', evidence }, { attempt: 1 });
}

describe('what a runner stores', () => {
  it('is taken while the attempt is live, and a chunk whose answer was lost may be sent again', async () => {
    const { put, file, text } = await atWork();
    await put(0, 'one ');
    await put(0, 'one ');
    await put(1, 'two');
    await put(0, 'one ');
    await file('content');
    await file('content');
    expect(await text()).toBe('one two');
  });

  it('does not change: another content for a chunk that is stored is refused', async () => {
    const { put, text } = await atWork();
    await put(0, 'the truth');
    await expect(put(0, 'something else')).rejects.toEqual(refusedWith('chunk_conflict'));
    expect(await text()).toBe('the truth');
  });

  it('is complete in its order: a chunk that would leave a gap is refused', async () => {
    const { put } = await atWork();
    await expect(put(1, 'two')).rejects.toEqual(refusedWith('invalid_request'));
  });

  it('is refused once the run has ended, whoever sends it', async () => {
    const { put, file, ask, text, runner, id } = await atWork();
    await put(0, 'the truth');
    await runner.beat([ended(id)]);
    const lies = [() => put(0, 'a lie'), () => put(1, 'more'), () => file('more'), () => ask('more', true)];
    for (const late of [() => put(0, 'the truth'), ...lies])
      await expect(late()).rejects.toEqual(refusedWith('run_ended'));
    expect(await text()).toBe('the truth');
  });

  it('is refused from a generation that has been fenced off, and taken from the one after it', async () => {
    const { put, file, ask, runner, text } = await atWork();
    const before = runner.generation;
    await takenOver(runner);
    for (const late of [() => put(0, 'old', before), () => file('old', before), () => ask('old', true, before)])
      await expect(late()).rejects.toEqual(refusedWith('stale_generation'));
    await put(0, 'new');
    expect(await text()).toBe('new');
  });

  it('is refused from a VM that has been seen to be gone, and for another attempt', async () => {
    const { world, put, vmId } = await atWork();
    await expect(put(0, 'x', undefined, 2)).rejects.toEqual(refusedWith('not_found'));
    dies(world, vmId);
    for (let looks = 0; looks < 4; looks++) {
      world.now += MINUTE;
      await watchdog(world);
    }
    await expect(put(0, 'x')).rejects.toEqual(refusedWith('illegal_transition'));
  });

  it('completes the evidence of a lost run until its true end is known', async () => {
    const { world, put, text, runner, id } = await atWork();
    await put(0, 'before ');
    await lost(world, id);
    await put(1, 'after');
    await runner.beat([ended(id)]);
    expect((await runRow(world, id)).correction?.status).toBe('succeeded');
    await expect(put(2, '!')).rejects.toEqual(refusedWith('run_ended'));
    expect(await text()).toBe('before after');
  });
});

describe('the bounds of what a runner stores', () => {
  it('hold for the log: its size and its number of chunks, whatever they hold', async () => {
    const { put } = await atWork({ maxLogBytes: 1000, maxLogChunks: 4 });
    const margin = 1024 * 1024;
    await put(0, 'x'.repeat(margin));
    await expect(put(1, 'x'.repeat(1001))).rejects.toEqual(refusedWith('payload_too_large'));
    await put(1, 'x'.repeat(990));
    await expect(put(2, Array(11).fill(line('')))).rejects.toEqual(refusedWith('payload_too_large'));
    await put(2, []);
    await put(3, []);
    await put(3, []);
    await expect(put(4, [])).rejects.toEqual(refusedWith('payload_too_large'));
  });

  it('hold for all artifacts together, each content counted once', async () => {
    const { file } = await atWork({ maxArtifactBytes: 10 });
    await file('12345');
    await file('12345', undefined, 'the same again');
    await expect(file('123456')).rejects.toEqual(refusedWith('payload_too_large'));
    await file('54321');
    await expect(file('6')).rejects.toEqual(refusedWith('payload_too_large'));
    await file('54321');
  });

  it('are told to whoever asks, and what is asked for counts once, when there is a way to store it', async () => {
    const { file, ask } = await atWork({ maxArtifactBytes: 10 });
    await expect(ask('more than ten')).rejects.toEqual(refusedWith('payload_too_large'));
    // Never sent: so it takes no room.
    for (const content of ['1234567', '7654321']) expect(await ask(content)).toEqual({ kind: 'here' });
    for (let twice = 0; twice < 2; twice++) expect(await ask('12345', true)).toEqual(ELSEWHERE);
    await expect(ask('123456')).rejects.toEqual(refusedWith('payload_too_large'));
    await expect(ask('123456', true)).rejects.toEqual(refusedWith('payload_too_large'));
    await file('54321');
    await expect(ask('6', true)).rejects.toEqual(refusedWith('payload_too_large'));
    expect(await ask('12345', true)).toEqual(ELSEWHERE);
  });

  it('hold for the number of artifacts', async () => {
    const { file } = await atWork();
    for (let number = 0; number < 100; number++) await file(String(number));
    await expect(file('one more')).rejects.toEqual(refusedWith('payload_too_large'));
    await file('7');
  });
});
