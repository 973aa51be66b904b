/** From a schedule to the proof of its run, with nobody's help. */
import { describe, expect, it } from 'vitest';
import type { ListBody } from '../../core/contract/common.ts';
import type { OccurrenceBody, ScheduleBody } from '../../core/contract/schedules.ts';
import { expectOneEnd, linesOf, Machine, until, witnessed } from './support.ts';

const inSeconds = (seconds: number) => `${new Date(Date.now() + seconds * 1000).toISOString().slice(0, 19)}Z`;

async function scheduled(machine: Machine, at: string) {
  const orders = machine.orders({ lines: 300, output: { written: 'by the work' } });
  const agent = await machine.worker();
  const schedule = await machine.post<ScheduleBody>(`/v1/agents/${agent.id}/schedules`, {
    name: 'once, soon',
    cadence: { at },
    input: orders,
  });
  const ledger = async () =>
    (await machine.get<ListBody<OccurrenceBody>>(`/v1/schedules/${schedule.id}/occurrences`)).items;
  return { orders, schedule, ledger };
}

describe('a schedule', { timeout: 120_000 }, () => {
  it('fires by itself; its run does the work, and says who saw its end', async () => {
    const machine = new Machine();
    await machine.start();
    const at = inSeconds(4);
    const { orders, schedule, ledger } = await scheduled(machine, at);
    expect(await ledger()).toEqual([]);

    const [occurrence] = await until('the occurrence', async () => {
      const items = await ledger();
      return items.length > 0 && items;
    });
    expect(occurrence).toMatchObject({ scheduleId: schedule.id, occurrence: at, disposition: 'dispatched' });
    const run = await machine.ended({ id: occurrence!.runId! });
    expect(run).toMatchObject({
      scheduleId: schedule.id,
      occurrence: at,
      trigger: { kind: 'schedule' },
      displayName: `once, soon · ${at}`,
      status: 'succeeded',
      exitCode: 0,
      attempt: 1,
      output: { written: 'by the work' },
    });
    expect(run.evidence.source).toBe(`runner ${run.vmId}`);
    expect(Date.parse(run.createdAt)).toBeGreaterThanOrEqual(Date.parse(at));

    expect(witnessed(orders)).toEqual(['start', 'end 0']);
    expect(await machine.stdout(run)).toBe(linesOf(orders));
    await expectOneEnd(machine, run);
    const types = (await machine.events(run)).map(({ type }) => type);
    expect(types).toEqual(['run.queued', 'run.provisioning', 'run.starting', 'run.running', 'run.succeeded']);
    const vm = await machine.vmGone(run);
    expect(vm.evidence).toMatchObject({
      source: 'fleet',
      detail: expect.stringContaining('no process carries the mark'),
    });
    expect(machine.processes()).toEqual([]);
    expect(await machine.get<ScheduleBody>(`/v1/schedules/${schedule.id}`)).toMatchObject({
      status: 'completed',
      overdue: false,
      liveRuns: [],
      lastRun: { runId: run.id, status: 'succeeded' },
    });
    expect(await ledger()).toHaveLength(1);
  });

  it('that came due while candor dev was killed fires once after the restart', async () => {
    const machine = new Machine();
    await machine.start();
    const at = inSeconds(3);
    const { orders, ledger } = await scheduled(machine, at);
    await machine.killDev();
    await until('the occurrence to be due', () => Date.now() > Date.parse(at) + 1000);
    await machine.start();
    const [occurrence] = await until('the occurrence', async () => {
      const items = await ledger();
      return items.length > 0 && items;
    });
    expect(occurrence).toMatchObject({ occurrence: at, disposition: 'dispatched' });
    expect(await machine.ended({ id: occurrence!.runId! })).toMatchObject({ status: 'succeeded' });
    expect(witnessed(orders)).toEqual(['start', 'end 0']);
    await expectOneEnd(machine, { id: occurrence!.runId! });
    expect(await ledger()).toHaveLength(1);
  });
});
