import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { FileLogStore } from '../../../adapters/local/logStore.ts';
import type { LogRecord } from '../../../core/ports.ts';
import { logStoreContract } from '../../contracts/logStore.ts';
import { temporaryFolder } from './support.ts';

const ADDRESS = { tenantId: 't1', runId: 'run_1', attempt: 1 };
const line = (text: string): LogRecord => ({ atMs: 1, stream: 'stdout', text });

function setUp(now = () => Date.now()) {
  const dataDir = temporaryFolder();
  return { dataDir, logs: new FileLogStore({ dataDir, time: { now } }) };
}

logStoreContract('the log store of one machine', () => setUp().logs);

describe('the log store in files', () => {
  it('leaves nothing of a write beside the chunk, however many wrote it at once', async () => {
    const { dataDir, logs } = setUp();
    await Promise.all(Array.from({ length: 8 }, () => logs.putChunk(ADDRESS, 0, [line('same')])));
    expect(readdirSync(path.join(dataDir, 'logs', 'run_1', '1'))).toEqual(['00000000.ndjson']);
  });

  it('keeps what a chunk says first', async () => {
    const { logs } = setUp();
    await logs.putChunk(ADDRESS, 0, [line('first')]);

    await expect(logs.putChunk(ADDRESS, 0, [line('other')])).rejects.toMatchObject({ code: 'chunk_conflict' });

    expect(await logs.read(ADDRESS, 0, 10)).toEqual({ records: [line('first')], next: 1 });
  });

  it('keeps attempts apart', async () => {
    const { logs } = setUp();
    await logs.putChunk(ADDRESS, 0, [line('first try')]);

    expect(await logs.read({ ...ADDRESS, attempt: 2 }, 0, 10)).toEqual({ records: [], next: 0 });
  });

  it.each(['../run_1', 'run/1', '', '.', 'RUN', 'run_1\0'])('refuses %j for the id of a run', async (runId) => {
    const { logs } = setUp();

    await expect(logs.putChunk({ ...ADDRESS, runId }, 0, [])).rejects.toThrow(RangeError);
    await expect(logs.read({ ...ADDRESS, runId }, 0, 1)).rejects.toThrow(RangeError);
  });

  it('refuses numbers that are none', async () => {
    const { logs } = setUp();

    await expect(logs.putChunk({ ...ADDRESS, attempt: 0 }, 0, [])).rejects.toThrow(RangeError);
    for (const chunk of [-1, 0.5, 1e8, Number.NaN])
      await expect(logs.putChunk(ADDRESS, chunk, [])).rejects.toThrow(RangeError);
  });

  it('sweeps the output of runs to which nothing was written for long enough', async () => {
    let now = Date.now();
    const { dataDir, logs } = setUp(() => now);
    await logs.putChunk(ADDRESS, 0, [line('a')]);
    expect(await logs.sweep(60_000)).toBe(0);

    now += 61_000;

    expect(await logs.sweep(60_000)).toBe(1);
    expect(existsSync(path.join(dataDir, 'logs', 'run_1'))).toBe(false);
    expect(await setUp().logs.sweep(0)).toBe(0);
  });
});
