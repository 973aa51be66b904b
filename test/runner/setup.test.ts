import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { takeLock } from '../../runner/setup.ts';
import { sh, sleep, Vm, waitFor } from './harness.ts';

const TIMEOUT_MS = 60_000;

describe('a setup', () => {
  let vm: Vm;
  beforeEach(async () => {
    vm = await Vm.create();
  });
  afterEach(async () => {
    const { problems } = vm.server;
    await vm.dispose();
    expect(problems).toEqual([]);
  });
  const setup = (...scripts: string[]) => ({ commands: scripts.map(sh), timeoutMs: TIMEOUT_MS });
  const witness = () => sh(`echo started >> ${vm.file('work')}`);

  it('is done before the first run, with the agent’s environment, in the folder that the VM has for it', async () => {
    const commands = [
      'echo one; pwd; env > env; test -z "$CANDOR_RUN_TOKEN"',
      `echo two >&2; cat env > ${vm.file('env')}; ls -A; echo the $SECRET`,
    ];
    vm.run('run_a', witness(), { setup: setup(...commands), env: { SECRET: 'open sesame' }, mask: ['open sesame'] });
    vm.startRunner();
    expect(await vm.reached('run_a', 'ended')).toMatchObject({ exitCode: 0 });
    expect(vm.server.text('run_a', 'stdout')).toBe(`one\n${vm.dir}/shared\nenv\nthe ***\n`);
    expect(vm.server.text('run_a', 'stderr')).toBe('two\n');
    const records = vm.server.logs('run_a');
    expect(records[0]).toMatchObject({ stream: 'candor', text: 'Setup begins: 2 commands.' });
    expect(records.at(-1)).toMatchObject({
      stream: 'candor',
      text: expect.stringMatching(/^Setup ended after \d+ ms\.$/),
    });
    const environment = vm.read('env')!.split('\n');
    expect(environment).toContain(`HOME=${vm.root}`);
    expect(environment).toContain('SECRET=open sesame');
    expect(environment).toContain('CANDOR_RUN_ID=run_a');
    expect(environment.join()).not.toMatch(/run-token|RUNNER_SECRET/);
    const times = records.map(({ atMs }) => atMs);
    expect(times).toEqual([...times].sort((left, right) => left - right));
  });

  it('is done once on a VM, over restarts of the runner, and again where its commands have changed', async () => {
    const counted = (name: string) => setup(`echo ${name} >> ${vm.file('setups')}`);
    vm.run('run_a', witness(), { setup: counted('x') });
    vm.startRunner();
    await vm.reached('run_a', 'ended');
    await vm.killRunner();
    vm.startRunner();
    vm.run('run_b', witness(), { setup: counted('x') });
    await vm.reached('run_b', 'ended');
    expect(vm.server.logs('run_b')).toEqual([]);
    vm.run('run_c', witness(), { setup: counted('y') });
    await vm.reached('run_c', 'ended');
    expect(vm.read('setups')).toBe('x\ny\n');
    expect(vm.read('work')).toBe('started\n'.repeat(3));
  });

  it('is done by one of several runs, while the others wait for it', async () => {
    const options = {
      setup: setup(`echo x >> ${vm.file('setups')}; while [ ! -e ${vm.file('go')} ]; do sleep 0.05; done`),
    };
    const runIds = ['run_a', 'run_b', 'run_c'];
    for (const runId of runIds) vm.run(runId, witness(), options);
    vm.startRunner();
    const busy = await waitFor('two to wait', () => {
      const others = runIds.filter((runId) => !vm.server.text(runId, 'candor').includes('waited for'));
      return others.length === 1 ? others[0] : undefined;
    });
    await waitFor('the third to say what it does', () => vm.server.entry(busy)?.detail !== undefined);
    expect(vm.server.entry(busy)).toMatchObject({ state: 'starting', detail: "The agent's setup is being done." });
    expect(vm.read('work')).toBeUndefined();
    fs.writeFileSync(vm.file('go'), '');
    for (const runId of ['run_a', 'run_b', 'run_c']) await vm.reached(runId, 'ended');
    expect(vm.read('setups')).toBe('x\n');
  });

  it('of a shim that has died is done again by the run that waits for it, and the dead one was not started', async () => {
    const script = `echo x >> ${vm.file('setups')}; [ -e ${vm.file('second')} ] || sleep 300`;
    vm.run('run_a', witness(), { setup: setup(script) });
    vm.startRunner();
    await waitFor('the setup to run', () => vm.read('setups'));
    vm.run('run_b', witness(), { setup: setup(script) });
    await waitFor('the other run to wait', () => vm.server.text('run_b', 'candor').includes('waited for'));
    fs.writeFileSync(vm.file('second'), '');
    process.kill(vm.runFile('run_a', 'shim.json').shimPid!, 'SIGKILL');
    expect(await vm.reached('run_a', 'not_started')).toMatchObject({
      notStartedBecause: 'setup',
      detail: expect.stringContaining('shim died'),
    });
    await vm.reached('run_b', 'ended');
    expect(vm.read('setups')).toBe('x\nx\n');
    expect(vm.read('work')).toBe('started\n');
    expect(vm.processesOf('run_a')).toEqual([]);
  });

  it('that fails is the reason why nothing was started, and is tried again by the next run', async () => {
    const failing = `echo x >> ${vm.file('setups')}; echo "password swordfish" >&2; echo "it is broken" >&2; exit 3`;
    vm.run('run_a', witness(), { setup: setup(failing, 'echo never'), mask: ['swordfish'] });
    vm.run('run_b', witness(), { setup: { commands: [['no-such-command', 'x y']], timeoutMs: TIMEOUT_MS } });
    vm.startRunner();
    const entry = await vm.reached('run_a', 'not_started');
    expect(entry).toMatchObject({
      notStartedBecause: 'setup',
      detail: expect.stringMatching(
        /^The setup failed\. sh -c ".*" ended with exit code 3: password \*\*\* \/ it is broken$/,
      ),
    });
    expect(entry.detail).not.toContain('swordfish');
    expect(entry.logChunks).toBeGreaterThan(0);
    expect(vm.server.text('run_a', 'stderr')).toBe('password ***\nit is broken\n');
    expect(vm.server.text('run_a', 'candor')).toContain('The setup failed.');
    expect(await vm.reached('run_b', 'not_started')).toMatchObject({
      notStartedBecause: 'setup',
      detail: expect.stringContaining('no-such-command "x y" could not be started: spawn no-such-command ENOENT'),
    });
    vm.run('run_c', witness(), { setup: setup(failing, 'echo never'), mask: ['swordfish'] });
    await vm.reached('run_c', 'not_started');
    expect(vm.read('setups')).toBe('x\nx\n');
    expect(vm.read('work')).toBeUndefined();
    expect(vm.stderr).not.toContain('swordfish');
  });

  it('that takes too long is ended with all that it has started', async () => {
    const script = `trap "" INT TERM; setsid sh -c 'trap "" TERM; while :; do sleep 0.05; done' & while :; do sleep 0.05; done`;
    vm.run('run_a', witness(), { setup: { commands: [sh(script)], timeoutMs: 500 } });
    vm.startRunner();
    expect(await vm.reached('run_a', 'not_started')).toMatchObject({
      notStartedBecause: 'setup',
      detail: expect.stringContaining('it took longer than 0.5 seconds'),
    });
    expect(vm.processesOf('run_a')).toEqual([]);
  });

  it('leaves nothing running when it has ended', async () => {
    vm.run('run_a', sh(`[ -z "$(cat /proc/$(cat ${vm.file('left')})/cmdline)" ] && exit 5`), {
      setup: setup(`setsid sleep 300 > /dev/null 2>&1 & echo $! > ${vm.file('left')}`),
    });
    vm.startRunner();
    expect(await vm.reached('run_a', 'ended')).toMatchObject({ exitCode: 5 });
  });

  it('is ended by a cancel, whatever it makes of the signals', async () => {
    vm.run('run_a', witness(), { setup: setup('trap "" INT TERM; echo up; while :; do sleep 0.05; done') });
    vm.run('run_b', witness(), { setup: setup('trap "" INT TERM; echo up; while :; do sleep 0.05; done') });
    vm.startRunner();
    const texts = (stream: 'stdout' | 'candor') => vm.server.text('run_a', stream) + vm.server.text('run_b', stream);
    await waitFor('the setup to run', () => texts('stdout') !== '');
    await waitFor('the other run to wait', () => texts('candor').includes('waited for'));
    vm.cancel('run_a', 200, 200);
    vm.cancel('run_b', 200, 200);
    const entries = [await vm.reached('run_a', 'not_started'), await vm.reached('run_b', 'not_started')];
    for (const entry of entries) {
      expect(entry).toMatchObject({
        notStartedBecause: 'refused',
        detail: expect.stringContaining('Cancelled before'),
      });
      expect(vm.processesOf(entry.runId)).toEqual([]);
    }
    const signals = entries.map(({ signalsSent }) => signalsSent).sort((left, right) => left!.length - right!.length);
    expect(signals).toEqual([['SIGINT'], ['SIGINT', 'SIGTERM', 'SIGKILL']]);
    expect(vm.read('work')).toBeUndefined();
  });

  it('whose command takes a cancel for success is followed by nothing', async () => {
    vm.run('run_a', witness(), {
      setup: setup('trap "exit 0" INT; echo up; while :; do sleep 0.05; done', `touch ${vm.file('next')}`),
    });
    vm.startRunner();
    await waitFor('the setup to run', () => vm.server.text('run_a', 'stdout') !== '');
    vm.cancel('run_a', 5000, 5000);
    expect(await vm.reached('run_a', 'not_started')).toMatchObject({ signalsSent: ['SIGINT'] });
    expect(vm.read('work') ?? vm.read('next')).toBeUndefined();
    await sleep(100);
    vm.run('run_b', witness(), { setup: setup('true') });
    expect(await vm.reached('run_b', 'ended')).toMatchObject({ exitCode: 0 });
  });

  it('goes on while the runner is away', async () => {
    vm.run('run_a', witness(), { setup: setup(`echo up; while [ ! -e ${vm.file('go')} ]; do sleep 0.05; done`) });
    vm.startRunner();
    await waitFor('the setup to run', () => vm.server.text('run_a', 'stdout') !== '');
    await vm.killRunner();
    fs.writeFileSync(vm.file('go'), '');
    vm.startRunner();
    expect(await vm.reached('run_a', 'ended')).toMatchObject({ exitCode: 0 });
  });
});

describe('the lock of the setup', () => {
  let folder: string;
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'candor-lock-'));
  });
  afterEach(() => fs.rmSync(folder, { recursive: true }));
  const bootId = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const leave = (number: number, content: unknown) =>
    fs.writeFileSync(
      path.join(folder, `lock.${number}`),
      typeof content === 'string' ? content : JSON.stringify(content),
    );

  it('is held by one, and free again once it is empty', () => {
    const lock = takeLock(folder);
    expect(lock).toBeDefined();
    expect(takeLock(folder)).toBeUndefined();
    fs.truncateSync(lock!);
    expect(takeLock(folder)).toBeDefined();
    expect(fs.readdirSync(folder)).toEqual(['lock.2']);
  });

  it('is not held by the dead, nor by another process with the same pid, nor from before the machine was booted', () => {
    leave(1, { pid: 4_194_305, startTicks: 1, bootId });
    fs.truncateSync(takeLock(folder)!);
    leave(7, { pid: process.pid, startTicks: 1, bootId });
    fs.truncateSync(takeLock(folder)!);
    const { pid, startTicks } = JSON.parse(fs.readFileSync(takeLock(folder)!, 'utf8'));
    leave(30, { pid, startTicks, bootId: 'another' });
    expect(takeLock(folder)).toBe(path.join(folder, 'lock.31'));
    leave(40, { pid, startTicks, bootId });
    expect(takeLock(folder)).toBeUndefined();
  });
});
