import { existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunnerCommand } from '../../core/contract/runner.ts';
import { node, sh, sleep, Vm, waitFor } from './harness.ts';

let vm: Vm;
beforeEach(async () => {
  vm = await Vm.create();
});
afterEach(async () => {
  const { problems } = vm.server;
  await vm.dispose();
  expect(problems).toEqual([]);
});

const witness = (name: string) => sh(`echo started >> ${vm.file(name)}; sleep 300`);

describe('commands', () => {
  it('are taken once each and in order, however they are delivered', async () => {
    vm.run('run_a', witness('a'));
    vm.run('run_b', witness('b'));
    const third = vm.run('run_c', witness('c'));
    const [first, second] = vm.server.commands as [RunnerCommand, RunnerCommand];
    // The second is missing at first; everything comes twice, backwards, and once more after it was acked.
    let deliveries = 0;
    vm.server.deliver = () => {
      deliveries += 1;
      return deliveries < 3 ? [third, first, third, first] : [third, second, first, second, third];
    };
    vm.startRunner();
    await waitFor('all commands to be acked', () => vm.server.heartbeats.at(-1)?.acks === 3);
    for (const run of ['run_a', 'run_b', 'run_c']) await vm.reached(run, 'running');
    const gap = vm.server.heartbeats.filter(({ acks }) => acks === 1);
    expect(gap.length).toBeGreaterThan(0);
    expect(gap.at(-1)?.registry.map(({ runId }) => runId)).toEqual(['run_a']);
    await waitFor('more deliveries', () => deliveries > 6);
    for (const name of ['a', 'b', 'c']) expect(vm.read(name)).toBe('started\n');
  });

  it('never start the same attempt twice, whatever their numbers', async () => {
    vm.run('run_a', sh(`echo started >> ${vm.file('a')}`));
    vm.startRunner();
    await vm.reached('run_a', 'ended');
    vm.run('run_a', witness('a'));
    await waitFor('the second start to be taken', () => vm.server.heartbeats.at(-1)?.acks === 2);
    vm.server.acknowledging = true;
    await waitFor('the outcome to be forgotten', () => !vm.server.entry('run_a'));
    vm.run('run_a', witness('a'));
    await waitFor('the third start to be taken', () => vm.server.heartbeats.at(-1)?.acks === 3);
    await sleep(300);
    expect(vm.read('a')).toBe('started\n');
    expect(vm.server.entry('run_a')).toBeUndefined();
  });

  it('of an unknown kind do not hold up the ones behind them', async () => {
    vm.server.commands.push({ number: 1, kind: 'from-the-future' } as unknown as RunnerCommand);
    vm.server.commands.push({ ...vm.run('run_a', ['true']), number: 2 });
    vm.server.commands.splice(1, 1);
    vm.startRunner();
    await vm.reached('run_a', 'ended');
  });

  it('refuse a start that comes after its cancel, over a restart and an acknowledgement too', async () => {
    vm.cancel('run_a');
    vm.startRunner();
    const refused = await vm.reached('run_a', 'not_started');
    expect(refused).toMatchObject({
      detail: expect.stringContaining('before its start'),
      notStartedBecause: 'refused',
    });
    vm.server.acknowledging = true;
    await waitFor('the refusal to be stored', () => !vm.server.entry('run_a'));
    await vm.killRunner();
    vm.server.acknowledging = false;
    vm.run('run_a', witness('a'));
    vm.startRunner();
    await vm.reached('run_a', 'not_started');
    await sleep(200);
    expect(vm.read('a')).toBeUndefined();
  });

  it('that say that a start is impossible start nothing, and answer with why', async () => {
    const impossible = vm.run('run_a', witness('a'), { impossible: 'The secret sec_x has been deleted.' });
    vm.run('run_b', ['true']);
    vm.startRunner();
    const expected = { notStartedBecause: 'impossible', detail: 'The secret sec_x has been deleted.' };
    expect(await vm.reached('run_a', 'not_started')).toMatchObject(expected);
    await vm.reached('run_b', 'ended');
    // What has been started stays what it is, and what has not been started stays so over a restart.
    vm.run('run_b', witness('b'), { impossible: 'Too late.' });
    vm.server.commands.push({ ...impossible, number: 4 });
    await vm.killRunner();
    vm.startRunner();
    await waitFor('all commands to be acked', () => vm.server.heartbeats.at(-1)?.acks === 4);
    expect(vm.server.entry('run_a')).toMatchObject(expected);
    expect(vm.server.entry('run_b')).toMatchObject({ state: 'ended', exitCode: 0 });
    for (const name of ['a', 'b']) expect(vm.read(name)).toBeUndefined();
    expect(vm.processesOf('run_a')).toEqual([]);
  });

  it('that come together as start and cancel leave no process', async () => {
    vm.run('run_a', witness('a'), { env: { SECRET: 'swordfish' } });
    vm.cancel('run_a');
    vm.startRunner();
    await vm.reached('run_a', 'not_started');
    await waitFor('the shim to go away', () => vm.processesOf('run_a').length === 0);
    expect(vm.read('a')).toBeUndefined();
    expect(vm.contentsOf('run_a')).not.toContain('swordfish');
  });
});

describe('a cancel', () => {
  it('is done with SIGINT where the work exits on it', async () => {
    vm.run(
      'run_a',
      node(`process.on('SIGINT', () => process.exit(5)); console.log('up'); setInterval(() => {}, 1000)`),
    );
    vm.startRunner();
    await waitFor('the work to be up', () => vm.server.text('run_a', 'stdout') === 'up\n');
    vm.cancel('run_a', 10_000, 10_000);
    const entry = await vm.reached('run_a', 'ended');
    expect(entry).toMatchObject({ exitCode: 5, terminatedBy: 'cancel', signalsSent: ['SIGINT'] });
    // It changes nothing any more once the run has ended.
    vm.cancel('run_a', 10, 10, 'timeout');
    await waitFor('the second cancel to be taken', () => vm.server.heartbeats.at(-1)?.acks === 3);
    expect(vm.server.entry('run_a')).toMatchObject({ state: 'ended', terminatedBy: 'cancel', signalsSent: ['SIGINT'] });
  });

  it('goes on to SIGTERM and SIGKILL, shows each as it is sent, and says whose cause it was', async () => {
    vm.run('run_a', sh('trap "" INT TERM; echo up; while :; do sleep 0.05; done'));
    vm.startRunner();
    await waitFor('the work to be up', () => vm.server.text('run_a', 'stdout') === 'up\n');
    vm.cancel('run_a', 200, 200, 'timeout');
    const entry = await vm.reached('run_a', 'ended');
    expect(entry).toMatchObject({
      signal: 'SIGKILL',
      terminatedBy: 'timeout',
      signalsSent: ['SIGINT', 'SIGTERM', 'SIGKILL'],
    });
    const shown = vm.server.heartbeats.flatMap(({ registry }) =>
      registry.filter(({ state }) => state === 'ending').map(({ signalsSent }) => signalsSent?.length ?? 0),
    );
    expect(shown).toContain(1);
    expect(shown).toContain(2);
    expect(shown).toEqual([...shown].sort());
  });

  it('leaves no grandchild, though it has left the process group and ignores signals', async () => {
    const stubborn = `trap "" INT TERM; echo deep > ${vm.file('deep')}; while :; do sleep 0.05; done`;
    vm.run('run_a', sh(`setsid sh -c '${stubborn}' & wait`));
    vm.startRunner();
    await waitFor('the grandchild', () => vm.read('deep'));
    await vm.reached('run_a', 'running');
    vm.cancel('run_a', 200, 200);
    const entry = await vm.reached('run_a', 'ended');
    expect(vm.processesOf('run_a')).toEqual([]);
    expect(entry).toMatchObject({ terminatedBy: 'cancel' });
  });

  it('leaves no daemon, which has forked twice and belongs to nobody any more', async () => {
    const stubborn = `trap "" INT TERM HUP; echo deep > ${vm.file('deep')}; while :; do sleep 0.05; done`;
    vm.run('run_a', sh(`(setsid sh -c '(sh -c "$0" &)' '${stubborn}' &); sleep 300`));
    vm.startRunner();
    await waitFor('the daemon', () => vm.read('deep'));
    await vm.reached('run_a', 'running');
    const before = vm.processesOf('run_a').length;
    vm.cancel('run_a', 200, 200);
    expect(await vm.reached('run_a', 'ended')).toMatchObject({ terminatedBy: 'cancel', signal: 'SIGINT' });
    expect(before).toBeGreaterThanOrEqual(3);
    expect(vm.processesOf('run_a')).toEqual([]);
  });

  it('does not claim the end of work that ended by itself', async () => {
    vm.run('run_a', sh('setsid sh -c \'trap "" TERM; sleep 300\' & sleep 0.1; exit 4'));
    vm.startRunner();
    // While the left-over is being ended, the cancel arrives.
    await vm.reached('run_a', 'ending');
    vm.cancel('run_a');
    const entry = await vm.reached('run_a', 'ended');
    expect(entry).toMatchObject({ exitCode: 4, terminatedBy: 'self' });
    expect(entry.signalsSent).toBeUndefined();
  });
});

describe('stop-vm', () => {
  it('ends the work, tells its outcome with the acks, and marks the VM as stopped', async () => {
    vm.run('run_a', sh('trap "" INT TERM; echo up; while :; do sleep 0.05; done'));
    const runner = vm.startRunner();
    await waitFor('the work to be up', () => vm.server.text('run_a', 'stdout') === 'up\n');
    vm.order({ kind: 'stop-vm' });
    vm.run('run_b', witness('b'));
    expect(await vm.exitOf(runner)).toBe(0);
    expect(existsSync(`${vm.dir}/stopped`)).toBe(true);
    expect(vm.server.heartbeats.at(-1)?.acks).toBe(3);
    expect(vm.server.entry('run_a')).toMatchObject({ state: 'ended', signal: 'SIGKILL' });
    expect(vm.server.entry('run_b')).toMatchObject({ state: 'not_started' });
    expect(vm.processes()).toEqual([]);
    expect(await vm.exitOf(vm.startRunner())).toBe(0);
  });

  it('stops an idle VM, though the server fails for a moment', async () => {
    const runner = vm.startRunner();
    await waitFor('a heartbeat', () => vm.server.heartbeats.length > 0);
    vm.order({ kind: 'stop-vm' });
    let fails = 2;
    vm.server.verdict = (path) => {
      const acked = path.endsWith('heartbeat') && existsSync(`${vm.dir}/journal.ndjson`) && fails > 0;
      if (acked) fails -= 1;
      return acked ? { status: 503 } : undefined;
    };
    expect(await vm.exitOf(runner)).toBe(0);
    expect(vm.server.heartbeats.at(-1)?.acks).toBe(1);
  });
});

describe('the outcome', () => {
  it('stays until it is acknowledged; then its folder goes', async () => {
    vm.run('run_a', ['true']);
    vm.startRunner();
    await vm.reached('run_a', 'ended');
    const before = vm.server.heartbeats.length;
    await waitFor('more heartbeats', () => vm.server.heartbeats.length > before + 3);
    expect(vm.server.entry('run_a')?.state).toBe('ended');
    expect(existsSync(`${vm.dir}/runs/run_a.1`)).toBe(true);
    vm.server.acknowledging = true;
    await waitFor('the outcome to leave', () => !vm.server.entry('run_a'));
    await waitFor('the folder to go', () => !existsSync(`${vm.dir}/runs/run_a.1`));
  });

  it('does not wait for logs that the server will never take, and says so', async () => {
    vm.server.verdict = (path) => (path.includes('/logs/') ? { status: 409, code: 'run_ended' } : undefined);
    vm.run('run_a', sh('echo hello'));
    vm.startRunner();
    const entry = await vm.reached('run_a', 'ended');
    expect(entry.logChunks).toBe(0);
    expect(entry.detail).toMatch(/bytes of captured output could not be stored/);
  });

  it('waits for logs that cannot be stored just now', async () => {
    let refused = 0;
    vm.server.verdict = (path) => {
      if (!path.includes('/logs/') || refused >= 3) return undefined;
      refused += 1;
      return { status: 503 };
    };
    vm.run('run_a', sh('echo hello'));
    vm.startRunner();
    expect(await vm.reached('run_a', 'ended')).toMatchObject({ logChunks: 1 });
    expect(vm.server.text('run_a', 'stdout')).toBe('hello\n');
    expect(refused).toBe(3);
  });
});
