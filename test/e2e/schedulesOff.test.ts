/** `CANDOR_FEATURES_SCHEDULES=off`: not only the routes are gone, nothing fires behind them either. */
import { expect, it } from 'vitest';
import type { ListBody } from '../../core/contract/common.ts';
import type { RunBody } from '../../core/contract/runs.ts';
import type { OccurrenceBody, ScheduleBody } from '../../core/contract/schedules.ts';
import type { SystemBody } from '../../core/contract/system.ts';
import { Machine, until } from './support.ts';

/** From this long after its time on an occurrence is the watchdog's. */
const OVERDUE_SECONDS = 2;
const config = { overdueGraceSeconds: OVERDUE_SECONDS };

it('no schedule fires while they are off, and what came due is caught up with once they are on', {
  timeout: 120_000,
}, async () => {
  const machine = new Machine();
  await machine.start({ config });
  const agent = await machine.worker();
  const at = `${new Date(Date.now() + 8000).toISOString().slice(0, 19)}Z`;
  const schedule = await machine.post<ScheduleBody>(`/v1/agents/${agent.id}/schedules`, {
    name: 'once, soon',
    cadence: { at },
    input: machine.orders({ lines: 1 }),
  });
  await machine.killDev();

  await machine.start({ config, environment: { CANDOR_FEATURES_SCHEDULES: 'off' } });
  expect((await machine.request('GET', `/v1/schedules/${schedule.id}`)).status).toBe(404);
  const partOf = async (name: string) => {
    const { parts } = await machine.get<SystemBody>('/v1/system');
    return parts.find((part) => part.name === name);
  };
  expect(await partOf('clock')).toMatchObject({ detail: { schedules: 'off' } });
  // Two of the watchdog's looks after the occurrence was its to settle.
  for (const seconds of [OVERDUE_SECONDS, OVERDUE_SECONDS + 1])
    await until('a look of the watchdog', async () => {
      const proof = (await partOf('watchdog'))?.lastProofAt ?? '';
      return proof !== '' && Date.parse(proof) > Date.parse(at) + seconds * 1000;
    });
  expect((await machine.get<ListBody<RunBody>>('/v1/runs')).items).toEqual([]);
  expect(await partOf('clock')).toMatchObject({ detail: { schedules: 'off' } });
  await machine.killDev();

  await machine.start({ config });
  const ledger = async () =>
    (await machine.get<ListBody<OccurrenceBody>>(`/v1/schedules/${schedule.id}/occurrences`)).items;
  const [occurrence] = await until('the occurrence', async () => {
    const items = await ledger();
    return items.length > 0 && items;
  });
  expect(occurrence).toMatchObject({ occurrence: at, disposition: 'dispatched' });
  expect(await machine.ended({ id: occurrence?.runId ?? '' })).toMatchObject({ status: 'succeeded', occurrence: at });
  expect(await ledger()).toHaveLength(1);
});
