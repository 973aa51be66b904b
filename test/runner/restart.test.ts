import fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sh, sleep, Vm, waitFor } from './harness.ts';

let vm: Vm;
beforeEach(async () => {
  vm = await Vm.create();
});
afterEach(async () => {
  const { problems } = vm.server;
  await vm.dispose();
  expect(problems).toEqual([]);
});

const counting = (count: number, code: number) =>
  sh(`echo x >> ${vm.file('starts')}; i=0
    while [ $i -lt ${count} ]; do echo $i; i=$((i+1)); sleep 0.02; done; exit ${code}`);
const counted = (count: number) => Array.from({ length: count }, (_, index) => `${index}\n`).join('');

const kill = (pid: number | undefined) => process.kill(pid!, 'SIGKILL');

describe('a runner that is killed', () => {
  it('leaves the work alone; the next one adopts it and reports it as if nothing had happened', async () => {
    vm.run('run_a', counting(150, 9));
    vm.startRunner();
    for (const [index, seen] of [10, 40, 70].entries()) {
      await waitFor(`${seen} lines`, () => vm.server.text('run_a', 'stdout').split('\n').length > seen);
      await waitFor('this runner to be heard', () => vm.server.heartbeats.at(-1)?.generation === index + 1);
      await vm.killRunner();
      await sleep(50);
      vm.startRunner();
    }
    const running = await waitFor('the next report', () =>
      vm.server.heartbeats.at(-1)?.generation === 4 ? vm.server.entry('run_a') : undefined,
    );
    expect(running).toMatchObject({ state: 'running', startedAgoMs: expect.any(Number) });
    const entry = await vm.reached('run_a', 'ended');
    expect(entry).toMatchObject({ exitCode: 9, terminatedBy: 'self' });
    expect(entry.endedAgoMs).toBeLessThan(entry.startedAgoMs!);
    expect(vm.server.text('run_a', 'stdout')).toBe(counted(150));
    expect(vm.read('starts')).toBe('x\n');
  });

  it('has the end of work that ended meanwhile reported by the next one', async () => {
    vm.run('run_a', counting(20, 3));
    vm.startRunner();
    await vm.reached('run_a', 'running');
    await vm.killRunner();
    await waitFor('the work to end', () => vm.processesOf('run_a').length === 0);
    vm.startRunner();
    expect(await vm.reached('run_a', 'ended')).toMatchObject({ exitCode: 3, terminatedBy: 'self' });
    expect(vm.server.text('run_a', 'stdout')).toBe(counted(20));
  });

  it('together with the work: the shim knows the signal', async () => {
    vm.run('run_a', sh(`echo up; exec sleep 300`));
    vm.startRunner();
    const { pid } = await vm.reached('run_a', 'running');
    await waitFor('output', () => vm.server.text('run_a', 'stdout'));
    await vm.killRunner();
    kill(pid);
    vm.startRunner();
    expect(await vm.reached('run_a', 'ended')).toMatchObject({ signal: 'SIGKILL', terminatedBy: 'signal' });
  });

  it('together with shim and work: the run is gone, and nothing is guessed', async () => {
    vm.run('run_a', sh(`echo up; exec sleep 300`));
    vm.startRunner();
    const { pid } = await vm.reached('run_a', 'running');
    await waitFor('output', () => vm.server.text('run_a', 'stdout'));
    await vm.killRunner();
    kill(vm.runFile('run_a', 'shim.json').shimPid);
    kill(pid);
    vm.startRunner();
    const entry = await vm.reached('run_a', 'gone');
    expect(entry.detail).toContain('left no exit status');
    expect(entry).not.toHaveProperty('exitCode');
    expect(entry).not.toHaveProperty('terminatedBy');
  });

  it('resumes a cancel that had begun', async () => {
    vm.run('run_a', sh('trap "" INT TERM; echo up; while :; do sleep 0.05; done'));
    vm.startRunner();
    await waitFor('the work to be up', () => vm.server.text('run_a', 'stdout') === 'up\n');
    vm.cancel('run_a', 1000, 300, 'idle');
    await waitFor('the first signal', () => vm.server.entry('run_a')?.signalsSent?.length === 1);
    await vm.killRunner();
    vm.startRunner();
    expect(await vm.reached('run_a', 'ended')).toMatchObject({
      terminatedBy: 'idle',
      signalsSent: ['SIGINT', 'SIGTERM', 'SIGKILL'],
    });
  });

  it('keeps outcomes that were not acknowledged', async () => {
    vm.run('run_a', sh('echo 1 > "$CANDOR_OUTPUT"; exit 2'));
    vm.startRunner();
    const before = await vm.reached('run_a', 'ended');
    await vm.killRunner();
    vm.server.heartbeats.length = 0;
    vm.server.nonces.length = 1;
    vm.startRunner();
    const after = await vm.reached('run_a', 'ended');
    expect({ ...after, startedAgoMs: 0, endedAgoMs: 0 }).toEqual({ ...before, startedAgoMs: 0, endedAgoMs: 0 });
  });

  it('before the spawn: the start is reported as not started, and is not made up for', async () => {
    const { number } = vm.run('run_a', counting(1, 0));
    const command = { kind: 'start', runId: 'run_a', attempt: 1, maxOutputBytes: 10 };
    fs.writeFileSync(`${vm.dir}/journal.ndjson`, `${JSON.stringify({ kind: 'taken', number, command })}\n`);
    vm.startRunner();
    expect((await vm.reached('run_a', 'not_started')).detail).toContain('no process');
    expect(vm.read('starts')).toBeUndefined();
  });

  it('at any moment of a start: it is started at most once, and what is said of it is true', async () => {
    for (const [index, delayMs] of [0, 15, 30, 60, 90, 120, 160].entries()) {
      const runId = `run_${index}`;
      vm.startRunner();
      vm.run(runId, sh(`echo ${runId} >> ${vm.file('starts')}`));
      const key = `${vm.dir}/runs/${runId}.1`;
      await waitFor('the start', () => fs.existsSync(key));
      await sleep(delayMs);
      await vm.killRunner();
      vm.startRunner();
      const entry = await waitFor('a verdict', () => {
        const seen = vm.server.entry(runId);
        return seen && ['ended', 'not_started'].includes(seen.state) ? seen : undefined;
      });
      const started = (vm.read('starts') ?? '').split('\n').filter((line) => line === runId).length;
      expect([delayMs, entry.state, started]).toEqual([delayMs, entry.state, entry.state === 'ended' ? 1 : 0]);
      await vm.killRunner();
    }
  });

  it('with the last line of its journal torn loses nothing that it had acted upon', async () => {
    vm.run('run_a', counting(50, 6));
    vm.startRunner();
    await vm.reached('run_a', 'running');
    await vm.killRunner();
    const file = `${vm.dir}/journal.ndjson`;
    const content = fs.readFileSync(file);
    content.write('{"kind":"taken","number":2,"comm', content.indexOf(0));
    fs.writeFileSync(file, content);
    vm.startRunner();
    vm.run('run_b', ['true']);
    expect(await vm.reached('run_a', 'ended')).toMatchObject({ exitCode: 6 });
    expect(await vm.reached('run_b', 'ended')).toMatchObject({ exitCode: 0 });
    expect(vm.read('starts')).toBe('x\n');
    const written = fs.readFileSync(file, 'utf8').replace(/\n\0*$/, '');
    for (const line of written.split('\n')) JSON.parse(line);
  });
});

describe('a shim that is killed', () => {
  it('leaves its work running, which is said, until it is gone', async () => {
    vm.run('run_a', sh(`trap "" PIPE; while [ ! -e ${vm.file('end')} ]; do sleep 0.05; done`));
    vm.startRunner();
    await vm.reached('run_a', 'running');
    kill(vm.runFile('run_a', 'shim.json').shimPid);
    const orphan = await waitFor('the loss to be said', () => {
      const entry = vm.server.entry('run_a');
      return entry?.detail ? entry : undefined;
    });
    expect(orphan).toMatchObject({ state: 'running', detail: expect.stringContaining('exit status cannot be known') });
    fs.writeFileSync(vm.file('end'), '');
    await vm.reached('run_a', 'gone');
  });

  it('does not shield its work from a cancel', async () => {
    vm.run('run_a', sh(`trap "" PIPE INT TERM; while :; do sleep 0.05; done`));
    vm.startRunner();
    await vm.reached('run_a', 'running');
    kill(vm.runFile('run_a', 'shim.json').shimPid);
    vm.cancel('run_a', 100, 100);
    expect(await vm.reached('run_a', 'gone')).toMatchObject({ signalsSent: ['SIGINT', 'SIGTERM', 'SIGKILL'] });
    expect(vm.processesOf('run_a')).toEqual([]);
  });
});
