/** The guards that find an id which was drawn before, as by a clone of a machine: see `guards.test.ts`. */
import { createKey, listKeys } from '../../core/access/keys.ts';
import { createPrincipal } from '../../core/access/service.ts';
import type { Ports } from '../../core/ports.ts';
import { cancelBackfill, getBackfill, startBackfill } from '../../core/schedules/backfill.ts';
import { MONDAY_NOON, type World } from '../support/world.ts';
import { type Race, tolerant } from './race.ts';
import { any, MINUTE, none } from './support.ts';

const drawing = ({ ports }: World, id: string): Ports => ({ ...ports, ids: { ...ports.ids, next: () => id } });

export const DRAWN_AGAIN_RACES: readonly Race[] = [
  {
    without: ['key.createdOnce'],
    when: 'the id of a key is drawn again for another one of the same account',
    breaks: 'a key that was handed out opens nothing any more',
    held: async (world) => {
      const { ports, caller } = world;
      const { id: principalId } = await createPrincipal(ports, caller, { name: 'robot', role: 'operator' });
      const request = (name: string) => ({ name, expiresIn: 3600 });
      const { id } = await createKey(ports, caller, principalId, request('first'), any);
      await tolerant(createKey(drawing(world, id), caller, principalId, request('second'), any));
      return (await listKeys(ports, caller, principalId)).items.every(({ name }) => name === 'first');
    },
  },
  {
    without: ['backfill.createdOnce'],
    when: 'the id of a backfill that has ended is drawn again for another one of the same schedule',
    breaks: '§1.7: an end changes no more',
    held: async (world) => {
      const { ports, caller } = world;
      const { id: scheduleId } = await world.schedule((await world.agent()).id);
      const part = { from: MONDAY_NOON - 10 * MINUTE, to: MONDAY_NOON - 5 * MINUTE };
      const request = { ...part, overlapPolicy: 'buffer_all', again: true } as const;
      const { backfillId } = await startBackfill(ports, caller, scheduleId, request, none);
      await cancelBackfill(ports, caller, scheduleId, backfillId, none);
      await tolerant(startBackfill(drawing(world, backfillId), caller, scheduleId, request, none));
      return (await getBackfill(ports, caller, scheduleId, backfillId)).status === 'cancelled';
    },
  },
];
