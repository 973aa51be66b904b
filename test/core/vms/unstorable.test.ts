import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimDispatch } from '../../../core/runs/dispatch.ts';
import { createRun, getRun } from '../../../core/runs/service.ts';
import { bounded } from '../../../core/vms/bounded.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { ended, entry, running, runningRun, runRow, storeWith } from '../support.ts';

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

const HALF = '😀'.slice(0, 1);
/** What 256 KiB of a process's bytes become as the text that is reported. */
const OUTPUTS = {
  'bytes that are no text': '\ufffd'.repeat(256 * 1024),
  'control characters': '\u0001'.repeat(256 * 1024),
  'JSON inside JSON': JSON.stringify(JSON.stringify([{ say: '"\\"\\\\"'.repeat(20_000) }])).slice(0, 256 * 1024),
  'astral characters': '😀'.repeat(128 * 1024),
  'JSON of many small values': Array.from({ length: 80_000 }, () => '"'),
};

describe('an output that is longer as stored than as written', () => {
  it.each(Object.entries(OUTPUTS))(
    '%s: its run ends with what can be kept of it, and says what is missing',
    async (_, output) => {
      const { id, runner } = await runningRun(world);
      const answer = await runner.beat([ended(id, { exitCode: 0, output, outputTruncatedBytes: 10 })]);
      expect(answer.acknowledged).toEqual([{ runId: id, attempt: 1 }]);
      const body = await getRun(world.ports, world.caller, id);
      expect(body.status).toBe('succeeded');
      const text = typeof output === 'string' ? output : JSON.stringify(output);
      const kept = body.output as string;
      expect(kept.length).toBeGreaterThan(50_000);
      expect(text.startsWith(kept)).toBe(true);
      expect(kept.isWellFormed()).toBe(true);
      const missing = 10 + Buffer.byteLength(text) - Buffer.byteLength(kept);
      expect(body.evidence.detail).toContain(`${missing} bytes of output were cut off`);
    },
  );

  it('is left as it is where it fits', () => {
    const fits = ended('run_x', { output: { text: 'x'.repeat(300_000) } });
    expect(bounded(fits)).toEqual(fits);
  });
});

describe('a report of texts that are no Unicode', () => {
  it('is kept with the halves replaced', async () => {
    const { id, runner } = await runningRun(world);
    await runner.beat([
      ended(id, {
        exitCode: 1,
        detail: `stderr ${HALF}`,
        artifacts: [{ path: `a${HALF}`, bytes: 1, sha256: 'a'.repeat(64) }],
      }),
    ]);
    expect(await runRow(world, id)).toMatchObject({ status: 'failed', reason: 'exit_code' });
    expect((await getRun(world.ports, world.caller, id)).artifacts?.[0]?.path).toBe('a\ufffd');
  });

  it('lists what can be listed of artifacts with very long names', () => {
    const artifacts = Array.from({ length: 100 }, (_, n) => ({
      path: `${n}${'\u0001'.repeat(1000)}`,
      bytes: 1,
      sha256: 'a'.repeat(64),
    }));
    const { artifacts: kept = [], detail } = bounded(entry('run_x', 'ended', { artifacts }));
    expect(kept.length).toBeGreaterThan(50);
    expect(detail).toBe(`${100 - kept.length} artifacts with very long names are not listed`);
  });
});

describe('a report that cannot be taken in just now', () => {
  it('holds up no other run of its VM and no command, and is taken in when it comes again', async () => {
    const { id, vmId, runner } = await runningRun(world, { slots: 2 });
    const { agentId } = await runRow(world, id);
    const second = (await createRun(world.ports, world.caller, agentId, {})).id;
    await claimDispatch(world.ports, second, 1, vmId);
    await runner.beat([running(id)]);
    const store = storeWith(world.ports.store, {
      transact: (writes) =>
        writes.some((write) => write.kind === 'put' && write.item.pk === `RUN#${id}` && write.item.sk === 'OUT')
          ? Promise.reject(new Error('ValidationException'))
          : world.ports.store.transact(writes),
    });
    const broken = { ...world.ports, store };
    const reports = [ended(id, { exitCode: 0, output: 'x' }), running(second)];
    const answer = await runner.beat(reports, broken);
    expect(answer.acknowledged).toEqual([]);
    expect((await runRow(world, second)).status).toBe('running');
    expect((await runRow(world, id)).status).toBe('running');
    expect((await runner.beat(reports)).acknowledged).toEqual([{ runId: id, attempt: 1 }]);
    expect((await runRow(world, id)).status).toBe('succeeded');
  });
});
