import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Activity } from '../../runner/activity.ts';
import { node, sh, Vm, waitFor } from './harness.ts';

describe('idleness', () => {
  let vm: Vm;
  beforeEach(async () => {
    vm = await Vm.create();
  });
  afterEach(async () => {
    const { problems } = vm.server;
    await vm.dispose();
    expect(problems).toEqual([]);
  });
  const idle = (runId: string) => vm.server.entry(runId)?.idleForMs;
  const grown = (runId: string, ms: number) => waitFor(`${runId} to be idle`, () => (idle(runId) ?? 0) >= ms);

  it('grows for silent sleepers, not for one that uses CPU without output, nor for a setsid grandchild that does', async () => {
    vm.run('run_sleeper', ['sleep', '300']);
    vm.run('run_burner', node('for (;;);'));
    vm.run('run_deep', sh(`setsid ${process.execPath} -e 'for (;;);' & exec sleep 300`));
    vm.startRunner();
    for (const runId of ['run_sleeper', 'run_burner', 'run_deep']) await vm.reached(runId, 'running');
    const before = vm.server.heartbeats.length;
    await grown('run_sleeper', 4500);
    const most = (runId: string) =>
      Math.max(
        ...vm.server.heartbeats
          .slice(before)
          .map(({ registry }) => registry.find((entry) => entry.runId === runId)?.idleForMs ?? 0),
      );
    expect(most('run_burner')).toBeLessThan(3000);
    expect(most('run_deep')).toBeLessThan(3000);
    vm.cancel('run_sleeper', 5000, 5000, 'idle');
    const entry = await vm.reached('run_sleeper', 'ended');
    expect(entry).toMatchObject({ terminatedBy: 'idle', signal: 'SIGINT', signalsSent: ['SIGINT'] });
    expect(entry.idleForMs).toBeUndefined();
  });

  it('begins anew with output, also with output that is not kept any more', async () => {
    // A shell's builtins: what the work does between its lines is far less than one tick of CPU time.
    const script = `read -r _ < ${vm.file('go')}; echo hello; exec sleep 300`;
    fs.writeFileSync(vm.file('make'), '');
    vm.run('run_a', sh(`mkfifo ${vm.file('go')}; ${script}`), { maxLogBytes: 0 });
    vm.startRunner();
    await vm.reached('run_a', 'running');
    await grown('run_a', 2500);
    fs.writeFileSync(vm.file('go'), 'x\n');
    await waitFor('the output to be noticed', () => (idle('run_a') ?? 9999) < 1500);
    await grown('run_a', 2000);
  });
});

describe('a look at the activity', () => {
  let folder: string;
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'candor-activity-'));
  });
  afterEach(() => fs.rmSync(folder, { recursive: true }));

  it('counts from the last change by the clock that it is given, and looks ever more rarely', () => {
    const capture = path.join(folder, 'capture.ndjson');
    fs.writeFileSync(capture, 'x');
    const activity = new Activity(folder, { vmId: 'vm_none', runId: 'run_none', attempt: 1 });
    expect(activity.idleForMs(0)).toBeUndefined();
    activity.look(0);
    activity.look(40_000);
    expect(activity.idleForMs(41_000)).toBe(41_000);
    fs.appendFileSync(capture, 'y');
    activity.look(42_000);
    expect(activity.idleForMs(42_000)).toBe(42_000);
    activity.look(45_000);
    expect(activity.idleForMs(45_500)).toBe(500);
    // The wall clock steps back by an hour; it is no measure of anything.
    const hourAgo = new Date(Date.now() - 3_600_000);
    activity.look(50_000);
    fs.utimesSync(capture, hourAgo, hourAgo);
    activity.look(56_000);
    activity.look(60_000);
    expect(activity.idleForMs(60_000)).toBe(4000);
  });
});
