import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FileLogStore } from '../../../adapters/local/logStore.ts';
import type { LogRecord } from '../../../core/ports.ts';
import { readRunLogs } from '../../../core/runs/reading.ts';
import { type TestEngine, testEngine } from '../../support/world.ts';
import { apiRun, finishAs } from '../support.ts';

let engine: TestEngine;
const dataDir = mkdtempSync(path.join(os.tmpdir(), 'candor-logs-'));
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(async () => {
  await engine.stop();
  rmSync(dataDir, { recursive: true });
});

it('a page of a log is bounded in bytes, and its cursor leads on to the end', async () => {
  const world = await engine.world();
  const { id } = await apiRun(world);
  const logs = new FileLogStore({ dataDir, time: world.ports.time });
  const address = { tenantId: world.caller.tenantId, runId: id, attempt: 1 };
  const sizes = [250, 250, 5000, 250, ...Array(40).fill(250), 10] as const;
  const record = (kibibytes: number): LogRecord => ({ atMs: 0, stream: 'stdout', text: 'é'.repeat(kibibytes * 512) });
  for (const [chunk, size] of sizes.entries()) await logs.putChunk(address, chunk, [record(size)]);
  await finishAs(world, id);

  const pages: { records: number; bytes: number }[] = [];
  const ports = { ...world.ports, logs };
  for (let cursor = '0', complete = false; !complete; ) {
    const page = await readRunLogs(ports, world.caller, id, { cursor });
    pages.push({ records: page.items.length, bytes: Buffer.byteLength(JSON.stringify(page)) });
    ({ nextCursor: cursor, complete } = page);
  }

  expect(pages.reduce((sum, { records }) => sum + records, 0)).toBe(sizes.length);
  // The one chunk that is larger than a page stands alone.
  expect(pages[1]?.records).toBe(1);
  for (const { bytes } of pages.toSpliced(1, 1)) expect(bytes).toBeLessThan(4.1 * 1024 * 1024);
});
