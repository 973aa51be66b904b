/** Interleavings around the event feed, and what is deleted when its time is over; played in `guards.test.ts`. */
import { appendToFeed } from '../../core/feed/append.ts';
import { feedRetentionMs } from '../../core/feed/model.ts';
import { appendEvent } from '../../core/runs/events.ts';
import { garbageAttributes, sweepGarbage } from '../../core/table/garbage.ts';
import { emit, idsOf, newReader, readAll } from './feed/support.ts';
import type { Race } from './race.ts';
import { interleaved } from './support.ts';

export const FEED_RACES: readonly Race[] = [
  {
    without: ['feed.positionFree'],
    when: 'two calls of fan-out append to one log at the same time',
    breaks: 'at least once: one batch is written over the other, and nobody ever reads its events',
    held: async (world) => {
      await appendToFeed(world.ports, [await emit(world, { sequence: 1 })]);
      const [two, three] = [await emit(world, { sequence: 2 }), await emit(world, { sequence: 3 })];
      await appendToFeed(
        interleaved(world, () => appendToFeed(world.ports, [two])),
        [three],
      );
      return idsOf(await readAll(world)).length === 3;
    },
  },
  {
    without: ['feed.beganOnce'],
    when: 'two calls of fan-out find a log empty, and the one whose clock is behind is the slower one',
    breaks: 'at least once: its batch stands before a position that a reader has passed',
    held: async (world) => {
      const [one, two] = [await emit(world, { sequence: 1 }), await emit(world, { sequence: 2 })];
      const reader = newReader();
      const rival = async () => {
        const ahead = { ...world.ports, time: { ...world.ports.time, now: () => world.now + 1000 } };
        await appendToFeed(ahead, [one]);
        await readAll(world, reader);
      };
      await appendToFeed(interleaved(world, rival), [two]);
      await readAll(world, reader);
      return idsOf(reader).length === 2;
    },
  },
  {
    without: ['feed.positionFree'],
    when: 'a writer finds a log just fresh enough to count on, and one whose clock is ahead lets it begin again meanwhile',
    breaks: 'at least once: the slower one’s batch stands before a position that a reader has passed',
    held: async (world) => {
      await appendToFeed(world.ports, [await emit(world, { sequence: 1 })]);
      const reader = await readAll(world);
      world.now += feedRetentionMs(world.ports.config) / 2 - 500;
      const [two, three] = [await emit(world, { sequence: 2 }), await emit(world, { sequence: 3 })];
      const rival = async () => {
        const ahead = { ...world.ports, time: { ...world.ports.time, now: () => world.now + 1000 } };
        await appendToFeed(ahead, [two]);
        await readAll(world, reader);
      };
      await appendToFeed(interleaved(world, rival), [three]);
      await readAll(world, reader);
      return idsOf(reader).length === 3;
    },
  },
];

/** Where `interleaved` lets a rival in before the delete, the item has come into use again. */
export const GARBAGE_RACES: readonly Race[] = [
  {
    without: ['garbage.expired'],
    when: 'an item that has expired comes into use again between the sweep’s read and its delete',
    breaks: 'what counts is deleted',
    held: async (world) => {
      const config = { ...world.ports.config, sweepsGarbage: true };
      const ports = { ...world.ports, config };
      const put = (expiresAt: number) => {
        const write = appendEvent(config, {
          tenantId: world.caller.tenantId,
          subject: 'run',
          subjectId: 'run_one',
          sequence: 1,
          type: 'run.changed',
          at: world.now,
          writer: 'test',
        });
        if (write.kind !== 'put') throw new Error('an event is put');
        const item = { ...write.item, ...garbageAttributes(config, 'run_one', expiresAt) };
        return world.ports.store.transact([{ kind: 'put', item }]);
      };
      await put(world.now - 1000);
      await sweepGarbage({ ...ports, store: interleaved(world, () => put(world.now + 1000)).store });
      return (await world.ports.store.query({ pk: 'RUN#run_one', limit: 5 })).items.length === 1;
    },
  },
];
