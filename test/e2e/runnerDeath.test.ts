/** Processes on the VM die: what can be proved is reported, and what cannot is said to be lost (design.md §5.5). */
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { VmBody } from '../../core/contract/runs.ts';
import { expectOneEnd, kill, linesOf, Machine, open, sleep, until, witnessed, workPid } from './support.ts';

/** A machine with one run that waits at its gate. */
async function machineAtWork() {
  const machine = new Machine();
  await machine.start();
  const orders = machine.orders({ gated: true, lines: 200, exitCode: 3 });
  const run = await machine.run(await machine.worker(), orders);
  await machine.running(run, orders);
  const [runner] = machine.processes('runner');
  const [shim] = machine.processes('shim');
  return { machine, orders, run, runner: runner!.pid, shim: shim!.pid, work: workPid(orders) };
}

describe('on the VM', { timeout: 120_000 }, () => {
  it('a runner that was killed is started again, adopts the living work and reports its true end', async () => {
    const { machine, orders, run, runner } = await machineAtWork();
    kill(runner);
    await until('another runner', () => machine.processes('runner').some(({ pid }) => pid !== runner));
    await until('its registration', async () => {
      const { vmId } = await machine.getRun(run);
      return (await machine.get<{ generation: number }>(`/v1/vms/${vmId}`)).generation === 2;
    });
    expect((await machine.getRun(run)).status).toBe('running');
    open(orders);
    const ended = await machine.ended(run);
    expect(ended).toMatchObject({ status: 'failed', reason: 'exit_code', exitCode: 3, terminatedBy: 'self' });
    expect(witnessed(orders)).toEqual(['start', 'end 3']);
    expect(await machine.stdout(run)).toBe(linesOf(orders));
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('a runner that is killed again and again while it boots starts its work once', async () => {
    const machine = new Machine();
    await machine.start();
    const orders = machine.orders({ lines: 10 });
    const run = await machine.run(await machine.worker(), orders);
    const killed = new Set<number>();
    for (const delayMs of [0, 60, 120, 180]) {
      const next = await until('the next runner', () =>
        machine.processes('runner').find(({ pid }) => !killed.has(pid)),
      );
      await sleep(delayMs);
      kill(next.pid);
      killed.add(next.pid);
    }
    expect(await machine.ended(run)).toMatchObject({ status: 'succeeded', exitCode: 0, attempt: 1 });
    expect(witnessed(orders)).toEqual(['start', 'end 0']);
    expect(await machine.stdout(run)).toBe(linesOf(orders));
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('the end of work that was killed together with its runner is known from the shim', async () => {
    const { machine, orders, run, runner, work } = await machineAtWork();
    kill(runner);
    kill(work);
    const ended = await machine.ended(run);
    expect(ended).toMatchObject({ status: 'failed', reason: 'signal', signal: 'SIGKILL', terminatedBy: 'signal' });
    expect(ended.exitCode).toBeUndefined();
    expect(ended.evidence).toMatchObject({
      source: `runner ${ended.vmId}`,
      detail: expect.stringContaining('SIGKILL'),
    });
    expect(witnessed(orders)).toEqual(['start']);
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('work that vanished together with its runner and shim is lost, with what was found', async () => {
    const { machine, orders, run, runner, shim, work } = await machineAtWork();
    for (const pid of [runner, shim, work]) kill(pid);
    const ended = await machine.ended(run);
    expect(ended).toMatchObject({ status: 'lost', reason: 'process_vanished' });
    expect(ended.evidence).toMatchObject({
      source: `runner ${ended.vmId}`,
      detail: expect.stringContaining('left no exit status'),
    });
    expect(ended).not.toHaveProperty('exitCode');
    expect(ended).not.toHaveProperty('terminatedBy');
    expect(witnessed(orders)).toEqual(['start']);
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('work whose shim was killed ends as lost, and not before it ends', async () => {
    const { machine, orders, run, shim } = await machineAtWork();
    kill(shim);
    const vm = `/v1/vms/${(await machine.getRun(run)).vmId}`;
    const { leaseUntil } = await machine.get<{ leaseUntil: string }>(vm);
    await until(
      'some more heartbeats',
      async () => (await machine.get<{ leaseUntil: string }>(vm)).leaseUntil > leaseUntil,
    );
    expect((await machine.getRun(run)).status).toBe('running');
    open(orders);
    const ended = await machine.ended(run);
    expect(ended.status).toBe('lost');
    expect(ended.evidence.detail).toContain('left no exit status');
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('work that vanished with everything, candor dev included, is lost after the restart', async () => {
    const { machine, orders, run, runner, shim, work } = await machineAtWork();
    await machine.killDev();
    for (const pid of [runner, shim, work]) kill(pid);
    await until('nothing is left', () => machine.processes().length === 0);
    await machine.start();
    const ended = await machine.ended(run);
    expect(ended).toMatchObject({ status: 'lost', attempt: 1 });
    expect(ended.evidence.detail).not.toBe('');
    expect(ended).not.toHaveProperty('exitCode');
    expect(witnessed(orders)).toEqual(['start']);
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('work that ended while candor dev and the runner were both gone has its true end', async () => {
    const { machine, orders, run, runner } = await machineAtWork();
    await machine.killDev();
    kill(runner);
    open(orders);
    await until('the end of the work and of its shim', () => machine.processes().length === 0);
    await machine.start();
    expect(await machine.ended(run)).toMatchObject({ status: 'failed', exitCode: 3, terminatedBy: 'self' });
    expect(witnessed(orders)).toEqual(['start', 'end 3']);
    expect(await machine.stdout(run)).toBe(linesOf(orders));
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('work that ended by itself has its true end, though its VM is given up: its runner hung', async () => {
    const machine = new Machine();
    await machine.start({ config: { leaseSeconds: 2, unresponsiveSeconds: 3 } });
    const orders = machine.orders({ gated: true, exitCode: 3 });
    const run = await machine.run(await machine.worker(), orders);
    await machine.running(run, orders);
    kill(machine.processes('runner')[0]!.pid, 'SIGSTOP');
    open(orders);
    const ended = await machine.ended(run);
    expect(ended).toMatchObject({ status: 'failed', reason: 'exit_code', exitCode: 3, terminatedBy: 'self' });
    expect(ended.evidence.detail).toContain('Read from what the VM has left');
    expect(witnessed(orders)).toEqual(['start', 'end 3']);
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('work that ended while everything else was gone has its true end, though its VM was being given up', async () => {
    const { machine, orders, run, runner } = await machineAtWork();
    await machine.killDev();
    kill(runner);
    open(orders);
    await until('the end of the work and of its shim', () => machine.processes().length === 0);
    const [vmId = ''] = fs.readdirSync(path.join(machine.dataDir, 'vms'));
    fs.writeFileSync(path.join(machine.dataDir, 'vms', vmId, 'terminating'), '');
    await machine.start();
    expect(await machine.ended(run)).toMatchObject({ status: 'failed', exitCode: 3, terminatedBy: 'self' });
    expect(machine.processes()).toEqual([]);
    await machine.vmGone(await expectOneEnd(machine, run));
    expect(fs.existsSync(path.join(machine.dataDir, 'vms', vmId))).toBe(false);
  });

  it('a run that is called lost already has the end that its VM has left as a correction', async () => {
    const { machine, orders, run, runner } = await machineAtWork();
    await machine.killDev();
    kill(runner);
    open(orders);
    await until('the end of the work and of its shim', () => machine.processes().length === 0);
    // Out of sight, as on a disk that comes back later: the VM is found gone.
    const [vmId = ''] = fs.readdirSync(path.join(machine.dataDir, 'vms'));
    const folder = path.join(machine.dataDir, 'vms', vmId);
    fs.renameSync(folder, path.join(machine.outside, vmId));
    await machine.start();
    expect(await machine.ended(run)).toMatchObject({ status: 'lost', reason: 'vm_terminated' });
    await machine.killDev();
    fs.renameSync(path.join(machine.outside, vmId), folder);
    fs.writeFileSync(path.join(folder, 'terminating'), '');
    await machine.start();
    const corrected = await until('the correction', async () => {
      const body = await machine.getRun(run);
      return body.correction !== undefined && body;
    });
    expect(corrected).toMatchObject({ status: 'lost', correction: { status: 'failed', exitCode: 3 } });
    const types = (await machine.events(run)).map(({ type }) => type);
    expect(types.filter((type) => type === 'run.corrected')).toHaveLength(1);
    expect(fs.existsSync(folder)).toBe(false);
  });

  it('a runner that hangs costs its VM in the end, and the run is lost with what was observed', async () => {
    const machine = new Machine();
    await machine.start({ config: { leaseSeconds: 2, unresponsiveSeconds: 3 } });
    const orders = machine.orders({ gated: true });
    const healthy = machine.orders({ gated: true });
    const agent = await machine.worker();
    const run = await machine.run(agent, orders);
    const other = await machine.run(agent, healthy);
    const { vmId } = await machine.running(run, orders);
    await machine.running(other, healthy);
    kill(machine.processes('runner').find((each) => each.vmId === vmId)!.pid, 'SIGSTOP');
    const seen = await until('the VM to be called unresponsive', async () => {
      const vm = await machine.get<VmBody>(`/v1/vms/${vmId}`);
      return vm.status === 'unresponsive' && vm;
    });
    expect(seen.evidence).toMatchObject({ source: 'watchdog', detail: expect.stringContaining('no heartbeat since') });
    const ended = await machine.ended(run);
    expect(ended).toMatchObject({ status: 'lost', reason: 'vm_terminated', evidence: { source: 'fleet' } });
    expect(machine.processes('work', run.id)).toEqual([]);
    expect((await machine.getRun(other)).status).toBe('running');
    open(healthy);
    expect(await machine.ended(other)).toMatchObject({ status: 'succeeded' });
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('a runner that was only held up goes on, and so does its work', async () => {
    const machine = new Machine();
    await machine.start({ config: { leaseSeconds: 2, unresponsiveSeconds: 600 } });
    const orders = machine.orders({ gated: true });
    const run = await machine.run(await machine.worker(), orders);
    const { vmId } = await machine.running(run, orders);
    const status = async () => (await machine.get<VmBody>(`/v1/vms/${vmId}`)).status;
    const runner = machine.processes('runner')[0]!.pid;
    kill(runner, 'SIGSTOP');
    await until('the VM to be called unresponsive', async () => (await status()) === 'unresponsive');
    expect((await machine.getRun(run)).status).toBe('running');
    kill(runner, 'SIGCONT');
    await until('the VM to be called ready again', async () => (await status()) === 'ready');
    open(orders);
    expect(await machine.ended(run)).toMatchObject({ status: 'succeeded', exitCode: 0 });
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('the engine that dies takes candor dev with it, and no work', async () => {
    const { machine, orders, run } = await machineAtWork();
    const { enginePid } = JSON.parse(machine.dev.stdout()) as { enginePid: number };
    kill(enginePid);
    expect(await machine.dev.exited).toBe(1);
    expect(machine.dev.stderr()).toContain('the DynamoDB engine has ended');
    await machine.start();
    expect((await machine.getRun(run)).status).toBe('running');
    open(orders);
    expect(await machine.ended(run)).toMatchObject({ status: 'failed', exitCode: 3 });
    expect(witnessed(orders)).toEqual(['start', 'end 3']);
    await machine.vmGone(await expectOneEnd(machine, run));
  });
});
