/** Cancel with proof, and timeouts (design.md §5.7): a run ends as what was seen of its end. */
import fs from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { RunBody, VmBody } from '../../core/contract/runs.ts';
import { expectOneEnd, isAlive, kill, Machine, open, type Problem, until, witnessed } from './support.ts';

describe('a cancel', { timeout: 120_000 }, () => {
  let machine: Machine;
  beforeAll(async () => {
    machine = new Machine('file');
    await machine.start();
  });

  const cancel = (run: { readonly id: string }) =>
    machine.post<RunBody>(`/v1/runs/${run.id}/cancel`, { reason: 'a test wants it' });
  const working = async (orders: Parameters<Machine['orders']>[0]) => {
    const given = machine.orders({ gated: true, ...orders });
    const run = await machine.run(await machine.worker(), given);
    const { vmId } = await machine.running(run, given);
    const runner = machine.processes('runner').find((each) => each.vmId === vmId)!.pid;
    return { run, orders: given, runner };
  };

  it('interrupts work that ends on SIGINT, and shows each stage with its time', async () => {
    const { run, orders } = await working({ exitOn: ['SIGINT'] });
    expect(await cancel(run)).toMatchObject({ status: 'cancelling', cancel: { reason: 'a test wants it' } });
    const ended = await machine.ended(run);
    expect(ended).toMatchObject({ status: 'cancelled', reason: 'cancelled', exitCode: 0, terminatedBy: 'cancel' });
    expect(ended.cancel).toMatchObject({ cause: 'request', signals: ['SIGINT'] });
    const { requestedAt, acknowledgedAt, processGoneAt } = ended.cancel!;
    expect(acknowledgedAt! >= requestedAt).toBe(true);
    expect(processGoneAt! >= requestedAt).toBe(true);
    expect(witnessed(orders)).toEqual(['start', 'SIGINT', 'end 0']);
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('kills work that cares for neither SIGINT nor SIGTERM, and says so', async () => {
    const { run, orders } = await working({ ignore: ['SIGINT', 'SIGTERM'] });
    await cancel(run);
    const ended = await machine.ended(run);
    expect(ended).toMatchObject({ status: 'cancelled', signal: 'SIGKILL', terminatedBy: 'cancel' });
    expect(ended.cancel?.signals).toEqual(['SIGINT', 'SIGTERM', 'SIGKILL']);
    expect(ended.evidence.detail).toContain('SIGINT, SIGTERM, SIGKILL');
    expect(witnessed(orders)).toEqual(['start', 'SIGINT', 'SIGTERM']);
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('leaves nothing of work that has moved into sessions of its own', async () => {
    const file = path.join(machine.outside, 'daemon');
    const daemon = `trap "" INT TERM HUP; echo $$ > ${file}.new; mv ${file}.new ${file}; while :; do sleep 1; done`;
    const agent = await machine.agent(['sh', '-c', `setsid sh -c '${daemon}' & sleep 600`]);
    const run = await machine.run(agent);
    await machine.running(run);
    await until('the daemon', () => fs.existsSync(file));
    const pid = Number(fs.readFileSync(file, 'utf8'));
    expect(machine.processes('work', run.id).map((each) => each.pid)).toContain(pid);
    await cancel(run);
    expect(await machine.ended(run)).toMatchObject({ status: 'cancelled' });
    expect(machine.processes('work', run.id)).toEqual([]);
    expect(isAlive(pid)).toBe(false);
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('of a run that has ended is refused with its outcome', async () => {
    const run = await machine.run(await machine.agent(['true']));
    await machine.ended(run);
    const { status, body } = await machine.request<Problem>('POST', `/v1/runs/${run.id}/cancel`, {});
    expect(status).toBe(409);
    expect(body).toMatchObject({ code: 'run_ended', detail: expect.stringContaining('succeeded') });
    expect(await expectOneEnd(machine, run)).toMatchObject({ status: 'succeeded' });
  });

  it('twice is the same cancel', async () => {
    const { run } = await working({ exitOn: ['SIGTERM'], ignore: ['SIGINT'] });
    const first = await cancel(run);
    const second = await cancel(run);
    expect(second.cancel?.requestedAt).toBe(first.cancel?.requestedAt);
    const ended = await machine.ended(run);
    expect(ended.cancel?.signals).toEqual(['SIGINT', 'SIGTERM']);
    await expectOneEnd(machine, run);
  });

  it('of a run whose process has not been started ends it, and the work never begins', async () => {
    const orders = machine.orders({});
    const run = await machine.run(await machine.worker(), orders);
    await cancel(run);
    const ended = await machine.ended(run);
    expect(ended.status).toBe('cancelled');
    if (ended.vmId !== undefined) await machine.vmGone(ended);
    await until('nothing of it is left', () => machine.processes().every(({ runId }) => runId !== run.id));
    if (ended.reason === 'cancelled_before_start') expect(witnessed(orders)).toEqual([]);
    await expectOneEnd(machine, run);
  });

  it('of a run that still waits for its VM ends it at once, and the VM goes', async () => {
    const orders = machine.orders();
    const run = await machine.run(await machine.worker(), orders);
    const runner = await until('its runner', () => machine.processes('runner')[0]);
    kill(runner.pid, 'SIGSTOP');
    const { status, vmId } = await machine.getRun(run);
    if (vmId === undefined) {
      expect(['queued', 'provisioning']).toContain(status);
      expect(await cancel(run)).toMatchObject({ status: 'cancelled', reason: 'cancelled_before_start' });
    } else {
      kill(runner.pid, 'SIGCONT');
      await cancel(run);
    }
    expect(await machine.ended(run)).toMatchObject({ status: 'cancelled' });
    await until('the VM to be gone', () => machine.processes().every((each) => each.vmId !== runner.vmId));
    expect(isAlive(runner.pid)).toBe(false);
    expect((await machine.get<VmBody>(`/v1/vms/${runner.vmId}`)).status).toBe('terminated');
    await expectOneEnd(machine, run);
  });

  it('that comes after the work has ended by itself does not make it a cancelled run', async () => {
    const { run, orders, runner } = await working({});
    // The runner is held, so that the end and the cancel both wait for it.
    kill(runner, 'SIGSTOP');
    open(orders);
    await until('the end of the work', () => machine.processes('shim', run.id).length === 0);
    await cancel(run);
    kill(runner, 'SIGCONT');
    const ended = await machine.ended(run);
    expect(ended).toMatchObject({ status: 'succeeded', exitCode: 0, terminatedBy: 'self' });
    expect(ended.cancel?.signals ?? []).toEqual([]);
    expect(witnessed(orders)).toEqual(['start', 'end 0']);
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('is carried out although candor dev is killed and restarted in the middle', async () => {
    const { run, orders } = await working({ ignore: ['SIGINT', 'SIGTERM'] });
    await cancel(run);
    await machine.killDev();
    await machine.start();
    const ended = await machine.ended(run);
    expect(ended).toMatchObject({ status: 'cancelled', terminatedBy: 'cancel' });
    expect(ended.cancel?.signals).toEqual(['SIGINT', 'SIGTERM', 'SIGKILL']);
    expect(witnessed(orders)).toEqual(['start', 'SIGINT', 'SIGTERM']);
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('ends work whose shim was killed', async () => {
    const { run } = await working({ ignore: ['SIGINT'] });
    kill(machine.processes('shim', run.id)[0]!.pid);
    await cancel(run);
    const ended = await machine.ended(run);
    expect(['lost', 'cancelled']).toContain(ended.status);
    expect(machine.processes('work', run.id)).toEqual([]);
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('escalates to the VM when its runner does not answer, and the observed end is the evidence', async () => {
    const { run, orders, runner } = await working({});
    await machine.killDev();
    await machine.start({ config: { cancelResendSeconds: 1, cancelEscalateSeconds: 3 } });
    kill(runner, 'SIGSTOP');
    await cancel(run);
    const ended = await machine.ended(run);
    expect(ended).toMatchObject({ status: 'cancelled', reason: 'vm_terminated_after_cancel' });
    expect(ended.evidence).toMatchObject({ source: 'fleet' });
    expect(ended.cancel?.vmTerminatedAt).toBeDefined();
    expect(ended.cancel?.acknowledgedAt).toBeUndefined();
    expect(witnessed(orders)).toEqual(['start']);
    await machine.vmGone(await expectOneEnd(machine, run));
  });

  it('by its runTimeout ends a run as timed_out, with who saw it', async () => {
    const orders = machine.orders({ gated: true, ignore: ['SIGINT'], exitOn: ['SIGTERM'] });
    const run = await machine.run(await machine.worker({ limits: { runTimeout: 'PT1S' } }), orders);
    const ended = await machine.ended(run);
    expect(ended).toMatchObject({ status: 'timed_out', reason: 'run_timeout', terminatedBy: 'timeout' });
    expect(ended.cancel).toMatchObject({ cause: 'timeout', signals: ['SIGINT', 'SIGTERM'], requestedBy: 'watchdog' });
    expect(ended.evidence.source).toBe(`runner ${ended.vmId}`);
    expect(witnessed(orders)).toEqual(['start', 'SIGINT', 'SIGTERM', 'end 0']);
    await machine.vmGone(await expectOneEnd(machine, run));
  });
});
