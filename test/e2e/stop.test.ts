/** A clean stop gives live runs a verdict, or leaves them to the next start (design.md §9). */
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { enginesOf, expectOneEnd, kill, linesOf, Machine, open, until, witnessed } from './support.ts';

async function machineAtWork(args: readonly string[] = []) {
  const machine = new Machine();
  const dev = await machine.start({ args });
  const orders = machine.orders({ gated: true, lines: 50, exitCode: 5 });
  const run = await machine.run(await machine.worker(), orders);
  await machine.running(run, orders);
  return { machine, dev, orders, run };
}

function expectNothingLeft(machine: Machine): void {
  expect(fs.existsSync(machine.endpointFile)).toBe(false);
  expect(enginesOf(machine.dataDir)).toEqual([]);
  expect(machine.processes()).toEqual([]);
}

describe('candor dev, told to stop', { timeout: 120_000 }, () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('by %s gives live runs a verdict and leaves nothing', async (signal) => {
    const { machine, dev, run, orders } = await machineAtWork();
    kill(dev.pid, signal);
    expect(await dev.exited).toBe(0);
    expectNothingLeft(machine);
    expect(dev.stderr()).toContain(run.id);
    await machine.start();
    const ended = await expectOneEnd(machine, run);
    expect(ended).toMatchObject({
      status: 'cancelled',
      reason: 'candor_stopped',
      terminatedBy: 'cancel',
      signal: 'SIGINT',
    });
    expect(ended.cancel).toMatchObject({ cause: 'shutdown', signals: ['SIGINT'] });
    expect(ended.evidence.source).toBe(`runner ${ended.vmId}`);
    expect(witnessed(orders)).toEqual(['start']);
    await machine.vmGone(ended);
  });

  it('by Ctrl-C, which reaches its whole process group, does the same', async () => {
    const { machine, dev, run } = await machineAtWork();
    process.kill(-dev.pid, 'SIGINT');
    expect(await dev.exited).toBe(0);
    expectNothingLeft(machine);
    await machine.start();
    expect(await expectOneEnd(machine, run)).toMatchObject({ status: 'cancelled', reason: 'candor_stopped' });
  });

  it('kills work that does not want to end', async () => {
    const machine = new Machine();
    const dev = await machine.start();
    const orders = machine.orders({ gated: true, ignore: ['SIGINT', 'SIGTERM'] });
    const run = await machine.run(await machine.worker(), orders);
    await machine.running(run, orders);
    kill(dev.pid, 'SIGTERM');
    expect(await dev.exited).toBe(0);
    expectNothingLeft(machine);
    await machine.start();
    const ended = await expectOneEnd(machine, run);
    expect(ended).toMatchObject({ status: 'cancelled', reason: 'candor_stopped', signal: 'SIGKILL' });
    expect(ended.cancel?.signals).toEqual(['SIGINT', 'SIGTERM', 'SIGKILL']);
  });

  it('twice ends the work at once, and still says what became of it', async () => {
    const machine = new Machine();
    const config = { cancelInterruptSeconds: 600, cancelTerminateSeconds: 600, cancelEscalateSeconds: 1800 };
    const dev = await machine.start({ config });
    const orders = machine.orders({ gated: true, ignore: ['SIGINT', 'SIGTERM'] });
    const run = await machine.run(await machine.worker(), orders);
    await machine.running(run, orders);
    kill(dev.pid, 'SIGINT');
    await until('the first signal to arrive', () => witnessed(orders).includes('SIGINT'));
    kill(dev.pid, 'SIGINT');
    expect(await dev.exited).toBe(0);
    expectNothingLeft(machine);
    await machine.start();
    const ended = await expectOneEnd(machine, run);
    expect(ended.status).toBe('cancelled');
    expect(ended.evidence.source).toBe('fleet');
  });

  it('gives up, and leaves the work alone, when its engine dies meanwhile', async () => {
    const machine = new Machine();
    const dev = await machine.start({ config: { cancelInterruptSeconds: 600, cancelEscalateSeconds: 1800 } });
    const orders = machine.orders({ gated: true, ignore: ['SIGINT'], exitCode: 4 });
    const run = await machine.run(await machine.worker(), orders);
    await machine.running(run, orders);
    kill(dev.pid, 'SIGTERM');
    await until('the work to be interrupted', () => witnessed(orders).includes('SIGINT'));
    kill(enginesOf(machine.dataDir)[0]!);
    expect(await dev.exited).toBe(1);
    expect(dev.stderr()).toContain('Live runs go on');
    expect(fs.existsSync(machine.endpointFile)).toBe(false);
    expect(machine.processes('work', run.id)).toHaveLength(1);
    await machine.start();
    open(orders);
    expect(await machine.ended(run)).toMatchObject({ status: 'cancelled', reason: 'candor_stopped', exitCode: 4 });
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('while it starts, leaves no engine behind', async () => {
    const machine = new Machine();
    const dev = machine.launch({ args: ['--port', '0'] });
    await until('its engine', () => enginesOf(machine.dataDir).length > 0);
    kill(dev.pid, 'SIGTERM');
    expect(await dev.exited).toBe(0);
    expectNothingLeft(machine);
  });

  it('the moment it is ready, stops cleanly', async () => {
    const machine = new Machine();
    const dev = machine.launch({ args: ['--port', '0'] });
    dev.child.stdout?.once('data', () => kill(dev.pid, 'SIGINT'));
    expect(await dev.exited).toBe(0);
    expectNothingLeft(machine);
  });

  it('gives a verdict to a run that is accepted while it stops, too', async () => {
    const machine = new Machine();
    const dev = await machine.start();
    const agent = await machine.worker();
    const stubborn = machine.orders({ gated: true, ignore: ['SIGINT', 'SIGTERM'] });
    const run = await machine.run(agent, stubborn);
    await machine.running(run, stubborn);
    kill(dev.pid, 'SIGTERM');
    await until('the work to be interrupted', () => witnessed(stubborn).includes('SIGINT'));
    const late = machine.orders({ gated: true });
    const accepted = await machine.run(agent, late).catch(() => undefined);
    expect(await dev.exited).toBe(0);
    expectNothingLeft(machine);
    await machine.start();
    expect(await expectOneEnd(machine, run)).toMatchObject({ status: 'cancelled', reason: 'candor_stopped' });
    if (accepted !== undefined)
      expect(await expectOneEnd(machine, accepted)).toMatchObject({ status: 'cancelled', reason: 'candor_stopped' });
  });

  it('right after a run was accepted, gives that run a verdict too', async () => {
    const machine = new Machine();
    const dev = await machine.start();
    const agent = await machine.worker();
    const all = [machine.orders(), machine.orders(), machine.orders()];
    const runs = await Promise.all(all.map((orders) => machine.run(agent, orders)));
    kill(dev.pid, 'SIGTERM');
    expect(await dev.exited).toBe(0);
    expectNothingLeft(machine);
    await machine.start();
    for (const [index, run] of runs.entries()) {
      const ended = await expectOneEnd(machine, run);
      expect(['cancelled', 'succeeded']).toContain(ended.status);
      const witness = witnessed(all[index]!);
      if (ended.status === 'succeeded') expect(witness).toEqual(['start', 'end 0']);
      else expect(ended.reason).toBe('candor_stopped');
    }
  });

  it('with --keep leaves the work to go on, and the next start reports its true end', async () => {
    const { machine, dev, orders, run } = await machineAtWork(['--keep']);
    kill(dev.pid, 'SIGTERM');
    expect(await dev.exited).toBe(0);
    expect(fs.existsSync(machine.endpointFile)).toBe(false);
    expect(enginesOf(machine.dataDir)).toEqual([]);
    expect(machine.processes('work', run.id)).toHaveLength(1);
    open(orders);
    await until('the end of the work', () => witnessed(orders).includes('end 5'));
    await machine.start();
    const ended = await machine.ended(run);
    expect(ended).toMatchObject({ status: 'failed', reason: 'exit_code', exitCode: 5, terminatedBy: 'self' });
    expect(ended).not.toHaveProperty('cancel');
    expect(witnessed(orders)).toEqual(['start', 'end 5']);
    expect(await machine.stdout(run)).toBe(linesOf(orders));
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('with --keep lets the next start sign with a new key: the work that goes on is known by the old one', async () => {
    const { machine, dev, orders, run } = await machineAtWork(['--keep']);
    const signingKey = () => {
      const server = fs.readFileSync(path.join(machine.dataDir, 'server.json'), 'utf8');
      return (JSON.parse(server) as { readonly signingKey: string }).signingKey;
    };
    const before = signingKey();
    kill(dev.pid, 'SIGTERM');
    expect(await dev.exited).toBe(0);
    await machine.start({ args: ['--rotate-signing-key'] });
    expect(signingKey()).not.toBe(before);
    open(orders);
    const ended = await machine.ended(run);
    expect(ended).toMatchObject({ status: 'failed', exitCode: 5, terminatedBy: 'self', attempt: 1 });
    expect(witnessed(orders)).toEqual(['start', 'end 5']);
    expect(await machine.stdout(run)).toBe(linesOf(orders));
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('with --keep and Ctrl-C leaves the work alone as well', async () => {
    const { machine, dev, orders, run } = await machineAtWork(['--keep']);
    process.kill(-dev.pid, 'SIGINT');
    expect(await dev.exited).toBe(0);
    await machine.start();
    expect((await machine.getRun(run)).status).toBe('running');
    open(orders);
    expect(await machine.ended(run)).toMatchObject({ status: 'failed', exitCode: 5 });
    expect(witnessed(orders)).toEqual(['start', 'end 5']);
  });
});
