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
