import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { FileLogStore } from '../../../adapters/local/logStore.ts';
import type { LogRecord } from '../../../core/ports.ts';
import { temporaryFolder } from './support.ts';

const ADDRESS = { tenantId: 't1', runId: 'run_1', attempt: 1 };
const line = (text: string): LogRecord => ({ atMs: 1, stream: 'stdout', text });

function setUp(now = () => Date.now()) {
  const dataDir = temporaryFolder();
  return { dataDir, logs: new FileLogStore({ dataDir, time: { now } }) };
}

describe('the log store', () => {
  it('gives back what was put, in order, from any chunk on', async () => {
    const { logs } = setUp();
    const records: LogRecord[] = [line('a\n"b"\u2028'), { atMs: 2.5, stream: 'stderr', base64: '/w==' }];
    await logs.putChunk(ADDRESS, 1, [line('second')]);
    await logs.putChunk(ADDRESS, 0, records);
    await logs.putChunk(ADDRESS, 2, []);

    expect(await logs.read(ADDRESS, 0, 10)).toEqual({ records: [...records, line('second')], next: 3 });
    expect(await logs.read(ADDRESS, 1, 1)).toEqual({ records: [line('second')], next: 2 });
    expect(await logs.read(ADDRESS, 3, 10)).toEqual({ records: [], next: 3 });
  });

  it('stops before it has more bytes than are wanted, but not before the first chunk', async () => {
    const { logs } = setUp();
    const bytes = JSON.stringify(line('é0')).length + 2;
    for (let chunk = 0; chunk < 5; chunk++) await logs.putChunk(ADDRESS, chunk, [line(`é${chunk}`)]);

    expect(await logs.read(ADDRESS, 0, 10, 3 * bytes)).toMatchObject({ next: 3 });
    expect(await logs.read(ADDRESS, 3, 10, 3 * bytes)).toMatchObject({ next: 5 });
    expect(await logs.read(ADDRESS, 0, 10, 3 * bytes - 1)).toMatchObject({ next: 2 });
    expect(await logs.read(ADDRESS, 1, 10, 1)).toEqual({ records: [line('é1')], next: 2 });
  });

  it('stops at a chunk that is missing, and goes on once it has come', async () => {
    const { logs } = setUp();
    await logs.putChunk(ADDRESS, 0, [line('0')]);
    await logs.putChunk(ADDRESS, 2, [line('2')]);
    expect(await logs.read(ADDRESS, 0, 10)).toEqual({ records: [line('0')], next: 1 });

    await logs.putChunk(ADDRESS, 1, [line('1')]);

    expect(await logs.read(ADDRESS, 1, 10)).toEqual({ records: [line('1'), line('2')], next: 3 });
  });

  it('is the same after a chunk was written again, by several at once too', async () => {
    const { dataDir, logs } = setUp();

    await Promise.all(Array.from({ length: 8 }, () => logs.putChunk(ADDRESS, 0, [line('same')])));

    expect(await logs.read(ADDRESS, 0, 10)).toEqual({ records: [line('same')], next: 1 });
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
