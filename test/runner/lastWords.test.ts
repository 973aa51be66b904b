/** What is read of a VM when none of its processes lives any more. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RegistryEntry } from '../../core/contract/runner.ts';
import { currentBootId, monotonicMs } from '../../runner/proc.ts';
import { sh, Vm, waitFor } from './harness.ts';

const PROGRAM = fileURLToPath(new URL('../../runner/sayLastWords.ts', import.meta.url));

let vm: Vm;
beforeEach(async () => {
  vm = await Vm.create();
});
afterEach(async () => {
  const { problems } = vm.server;
  await vm.dispose();
  expect(problems).toEqual([]);
});

function said(): RegistryEntry[] {
  const text = execFileSync(process.execPath, [PROGRAM, vm.dir], { encoding: 'utf8', env: { PATH: process.env.PATH } });
  return (JSON.parse(text) as unknown[]).map((entry) => RegistryEntry.parse(entry));
}

const gone = () => waitFor('all processes to be gone', () => vm.processes().length === 0);
function killAll(): void {
  for (const pid of vm.processes()) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has gone by itself.
    }
  }
}

describe('the last words of a VM', () => {
  it('are the ends that its runner knew and nobody has acknowledged', async () => {
    vm.run('run_a', sh('echo hi; echo "{\\"a\\":1}" > "$CANDOR_OUTPUT"; exit 3'));
    vm.startRunner();
    const reported = await vm.reached('run_a', 'ended');
    await vm.killRunner();
    const [entry, ...rest] = said();
    expect(rest).toEqual([]);
    expect(entry).toMatchObject({
      runId: 'run_a',
      attempt: 1,
      state: 'ended',
      exitCode: 3,
      terminatedBy: 'self',
      output: { a: 1 },
      logChunks: 1,
      pid: reported.pid,
      detail: expect.stringContaining('Read from what the VM has left'),
    });
    expect(entry?.startedAgoMs).toBeGreaterThan(0);
  });

  it('are none once it has been acknowledged, or where nothing ever was', async () => {
    expect(said()).toEqual([]);
    vm.server.acknowledging = true;
    vm.run('run_a', ['true']);
    vm.startRunner();
    await waitFor('the folder to go', () => vm.server.heartbeats.length > 0 && !vm.server.entry('run_a'));
    await waitFor('the acknowledgement', () =>
      fs.readFileSync(path.join(vm.dir, 'journal.ndjson'), 'utf8').includes('"acknowledged"'),
    );
    await vm.killRunner();
    expect(said()).toEqual([]);
  });

  it('are what the shim wrote down when the runner was dead, and say what could not be stored', async () => {
    const gate = vm.file('gate');
    const script = `echo before; until [ -e ${gate} ]; do sleep 0.02; done; echo after; echo x > "$CANDOR_ARTIFACTS/x"
      echo out > "$CANDOR_OUTPUT"; exit 4`;
    vm.run('run_a', sh(script));
    vm.startRunner();
    await waitFor('the output', () => vm.server.text('run_a', 'stdout') === 'before\n');
    await vm.killRunner();
    fs.writeFileSync(gate, '');
    await gone();
    for (let again = 0; again < 2; again++) {
      const [entry] = said();
      expect(entry).toMatchObject({ state: 'ended', exitCode: 4, terminatedBy: 'self', output: 'out\n' });
      expect(entry).not.toHaveProperty('logChunks');
      expect(entry?.detail).toMatch(/Up to \d+ bytes of captured output could not be stored/);
      expect(entry?.detail).toContain('Its artifacts could not be stored.');
    }
  });

  it('are nothing of work that was killed with everything else: that is lost', async () => {
    vm.run('run_a', sh('sleep 300'));
    vm.startRunner();
    await vm.reached('run_a', 'running');
    killAll();
    await gone();
    expect(said()).toEqual([]);
  });

  it('are nothing of what ended after the termination had begun', async () => {
    vm.run('run_a', ['sleep', '300']);
    vm.startRunner();
    const { pid = 0 } = await vm.reached('run_a', 'running');
    await vm.killRunner();
    const began = { monotonicMs: monotonicMs(), bootId: currentBootId() };
    fs.writeFileSync(path.join(vm.dir, 'terminating'), JSON.stringify(began));
    process.kill(pid, 'SIGKILL');
    await gone();
    expect(said()).toEqual([]);
    // Without that mark it would be told of, as a death by a signal.
    fs.writeFileSync(path.join(vm.dir, 'terminating'), '');
    expect(said()).toMatchObject([{ state: 'ended', signal: 'SIGKILL', terminatedBy: 'signal' }]);
  });

  it('are that nothing was started, where no shim has claimed the run', async () => {
    vm.run('run_a', sh('sleep 300'));
    vm.startRunner();
    await waitFor('the command to be taken', () => vm.server.heartbeats.at(-1)?.acks === 1);
    killAll();
    await gone();
    fs.rmSync(path.join(vm.dir, 'runs', 'run_a.1'), { recursive: true });
    expect(said()).toMatchObject([{ runId: 'run_a', state: 'not_started', notStartedBecause: 'refused' }]);
  });
});
