import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { StoreUnavailable } from '../../../core/errors.ts';
import { appendToFeed } from '../../../core/feed/append.ts';
import { FEED_SHARDS, feedShardOf } from '../../../core/feed/model.ts';
import type { Ports } from '../../../core/ports.ts';
import type { EventRow } from '../../../core/runs/model.ts';
import { sweepGarbage } from '../../../core/table/garbage.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { FEED_PREFIX, feedKeys } from '../../../core/table/keys.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';
import { distinct, emit, idsOf, newReader, type Reader, readAll, readOnce } from './support.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

const DAY = 86_400_000;
const append = (world: World, events: readonly EventRow[]) => appendToFeed(world.ports, events);

async function emitted(world: World, subjectId: string, from: number, count: number): Promise<readonly EventRow[]> {
  const numbers = Array.from({ length: count }, (_, index) => from + index);
  return Promise.all(numbers.map((sequence) => emit(world, { subjectId, sequence })));
}

const sequencesOf = (reader: Reader, subjectId: string) =>
  reader.seen.filter(({ subject }) => subject.id === subjectId).map(({ sequence }) => sequence);

async function batchesOf(world: World, subjectId: string): Promise<number> {
  const { pk } = feedKeys.head(world.caller.tenantId, feedShardOf(subjectId));
  return (await world.ports.store.query({ pk, prefix: FEED_PREFIX, limit: 1000 })).items.length;
}

describe('a reader of the feed', () => {
  it('finds what there is, and goes on from its cursor with what comes', async () => {
    const world = await engine.world();
    await append(world, await emitted(world, 'run_one', 1, 3));
    const reader = await readAll(world);
    expect(idsOf(reader)).toEqual(['run_one.1', 'run_one.2', 'run_one.3']);
    expect(reader.seen[0]).toEqual({
      id: 'run_one.1',
      type: 'run.changed',
      at: '2027-03-01T12:00:00.000Z',
      subject: { kind: 'run', id: 'run_one' },
      sequence: 1,
      detail: {},
    });
    await append(world, await emitted(world, 'run_one', 4, 2));
    expect(idsOf(await readAll(world, newReader(reader.cursor)))).toEqual(['run_one.4', 'run_one.5']);
  });

  it('begins with what comes from now on where it asks for the latest', async () => {
    const world = await engine.world();
    await append(world, await emitted(world, 'run_one', 1, 3));
    const reader = await readAll(world, newReader('latest'));
    expect(reader.seen).toEqual([]);
    await append(world, await emitted(world, 'run_one', 4, 1));
    await append(world, await emitted(world, 'run_two', 1, 1));
    expect(idsOf(await readAll(world, reader)).toSorted()).toEqual(['run_one.4', 'run_two.1']);
  });

  it('that is far behind gets everything once, page by page, and may stop within a batch', async () => {
    const world = await engine.world();
    const subjects = Array.from({ length: 12 }, (_, index) => `run_${index}`);
    for (const subject of subjects)
      for (let from = 1; from <= 90; from += 30) await append(world, await emitted(world, subject, from, 30));
    const reader = newReader();
    let requests = 0;
    while (!(await readOnce(world.ports, world.caller.tenantId, reader, { limit: 7 + (requests % 40) }))) requests++;
    expect(reader.seen).toHaveLength(12 * 90);
    for (const subject of subjects)
      expect(sequencesOf(reader, subject)).toEqual(Array.from({ length: 90 }, (_, index) => index + 1));
    expect(requests).toBeGreaterThan(20);
  });

  it('gets what is handled late after what it has read already', async () => {
    const world = await engine.world();
    const late = await emitted(world, 'run_late', 1, 1);
    const reader = await readAll(world);
    for (let round = 0; round < 5; round++) {
      await append(world, await emitted(world, `run_${round}`, 1, 2));
      await readAll(world, reader);
    }
    await append(world, late);
    await readAll(world, reader);
    expect(idsOf(reader).at(-1)).toBe('run_late.1');
  });

  it('sees nothing of another tenant, and cannot use its cursor', async () => {
    const world = await engine.world();
    await append(world, await emitted(world, 'run_one', 1, 2));
    await append(world, [await emit(world, { tenantId: 'other', subjectId: 'run_other', sequence: 1 })]);
    const [mine, theirs] = [newReader(), newReader()];
    await readOnce(world.ports, world.caller.tenantId, mine);
    await readOnce(world.ports, 'other', theirs);
    expect(idsOf(mine)).toEqual(['run_one.1', 'run_one.2']);
    expect(idsOf(theirs)).toEqual(['run_other.1']);
    await expect(readOnce(world.ports, 'other', newReader(mine.cursor))).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });

  it.each(['', '!', 'MQ', Buffer.from('1.2.3').toString('base64url'), 'latestt'])(
    'is told that %j is no cursor',
    async (after) => {
      const world = await engine.world();
      await expect(readAll(world, newReader(after))).rejects.toMatchObject({ code: 'invalid_request' });
    },
  );

  it('chooses by type, agent, schedule and run, and comes further where nothing is kept', async () => {
    const world = await engine.world();
    const agent = await world.agent();
    const other = await world.agent();
    const schedule = await world.schedule(agent.id);
    const rows = await Promise.all(
      [keys.agent(agent.id), keys.agent(other.id), keys.schedule(schedule.id)].map(({ pk }) =>
        world.ports.store.query({ pk, prefix: 'EVT#', limit: 10 }),
      ),
    );
    await append(
      world,
      rows.flatMap(({ items }) => items as unknown as readonly EventRow[]),
    );
    const typesOf = async (query: object) => (await readAll(world, newReader(), query)).seen.map(({ type }) => type);
    expect(await typesOf({ type: 'agent.' })).toEqual(['agent.created', 'agent.created']);
    expect((await typesOf({ agentId: agent.id })).toSorted()).toEqual(['agent.created', 'schedule.created']);
    expect(await typesOf({ agentId: other.id })).toEqual(['agent.created']);
    expect(await typesOf({ scheduleId: schedule.id })).toEqual(['schedule.created']);
    expect(await typesOf({ runId: 'run_none' })).toEqual([]);
  });
});

describe('the feed', () => {
  it('recognises a batch that is delivered again, whole or in part', async () => {
    const world = await engine.world();
    const events = await emitted(world, 'run_one', 1, 3);
    await append(world, events);
    await append(world, events);
    await append(world, events.slice(1));
    expect(await batchesOf(world, 'run_one')).toBe(1);
    await append(world, [...events.slice(2), ...(await emitted(world, 'run_one', 4, 1))]);
    expect(idsOf(await readAll(world))).toEqual(['run_one.1', 'run_one.2', 'run_one.3', 'run_one.4']);
  });

  it('puts the events of one subject in order where they come in another', async () => {
    const world = await engine.world();
    const [one, two, three] = await emitted(world, 'run_one', 1, 3);
    const [other] = await emitted(world, 'run_two', 1, 1);
    await append(world, [three!, other!, one!, two!]);
    expect(sequencesOf(await readAll(world), 'run_one')).toEqual([1, 2, 3]);
  });

  it('spreads a tenant over several partitions', async () => {
    const shards = new Set(Array.from({ length: 100 }, (_, index) => feedShardOf(`run_${index}`)));
    expect(shards.size).toBe(FEED_SHARDS);
  });

  it('writes one item for many events that come together', async () => {
    const world = await engine.world();
    await append(world, await emitted(world, 'run_one', 1, 100));
    expect(await batchesOf(world, 'run_one')).toBe(1);
    await append(world, await emitted(world, 'run_one', 101, 150));
    expect(await batchesOf(world, 'run_one')).toBe(3);
  });
});

describe('the feed after its retention', () => {
  it('refuses a cursor whose successors are not kept any more, and takes one that is just within', async () => {
    const world = await engine.world({ feedRetentionDays: 2 });
    const { cursor } = await readAll(world);
    world.now += 2 * DAY;
    await readAll(world, newReader(cursor));
    world.now += 1;
    await expect(readAll(world, newReader(cursor))).rejects.toMatchObject({
      code: 'cursor_expired',
      facts: { retentionDays: 2, unreadSince: '2027-03-01T12:00:00.000Z' },
    });
  });

  it('counts from the oldest event that a reader has not read, not from its last request', async () => {
    const world = await engine.world({ feedRetentionDays: 2 });
    await append(world, await emitted(world, 'run_one', 1, 5));
    world.now += DAY;
    const slow = newReader();
    await readOnce(world.ports, world.caller.tenantId, slow, { limit: 2 });
    world.now += DAY + 1;
    await expect(readAll(world, slow)).rejects.toMatchObject({ code: 'cursor_expired' });
  });

  it('deletes what has expired, and goes on behind every cursor that was given out', async () => {
    const world = await engine.world({ feedRetentionDays: 2, sweepsGarbage: true });
    await append(world, await emitted(world, 'run_one', 1, 3));
    world.now += 1.5 * DAY;
    const reader = await readAll(world);
    world.now += 0.9 * DAY;
    expect(await sweepGarbage(world.ports)).toBe(1);
    expect(await batchesOf(world, 'run_one')).toBe(0);
    // Two at once find an empty log; neither may come to stand behind what the other one's reader has passed.
    const [four, five] = await emitted(world, 'run_one', 4, 2);
    await Promise.all([append(world, [four!]), append(world, [five!])]);
    await readAll(world, reader);
    expect(idsOf(reader).slice(3).toSorted()).toEqual(['run_one.4', 'run_one.5']);
  });

  it('counts on from who has begun meanwhile, where it stood still after it had found the log empty', async () => {
    const world = await engine.world();
    const [one, two] = await emitted(world, 'run_one', 1, 2);
    const { store } = world.ports;
    const query = store.query.bind(store);
    const spy = vi.spyOn(store, 'query').mockImplementationOnce(async (range) => {
      const page = await query(range);
      await append(world, [one!]);
      world.now += 5000;
      return page;
    });
    await append(world, [two!]);
    spy.mockRestore();
    const { pk } = feedKeys.head(world.caller.tenantId, feedShardOf('run_one'));
    const { items } = await query({ pk, prefix: FEED_PREFIX, limit: 10 });
    const [first, second] = items.map(({ position }) => Number(position));
    // A position far ahead would leave room behind it for others that have read the first one, and readers would pass them.
    expect(second).toBe(first! + 1);
  });

  it('loses nothing where a log begins again while it is read', async () => {
    const world = await engine.world({ feedRetentionDays: 2 });
    for (let round = 0; round < 20; round++) {
      world.now += 1.2 * DAY;
      const reader = await readAll(world, newReader('latest'));
      const rounds = Array.from({ length: 4 }, (_, index) => `run_${round}_${index}`);
      const writers = rounds.map(async (subject) => append(world, await emitted(world, subject, 1, 1)));
      for (let reads = 0; reads < 5; reads++) await readAll(world, reader);
      await Promise.all(writers);
      await readAll(world, reader);
      expect(idsOf(reader).toSorted()).toEqual(rounds.map((subject) => `${subject}.1`));
    }
  });
});

/** Answers get lost after the write, as they do; the caller does not know and delivers again. */
function losing(ports: Ports, share: number, random: () => number): Ports {
  return {
    ...ports,
    store: {
      ...ports.store,
      get: (key) => ports.store.get(key),
      getMany: (wanted) => ports.store.getMany(wanted),
      query: (range) => ports.store.query(range),
      queryIndex: (range) => ports.store.queryIndex(range),
      transact: async (writes) => {
        if (random() < share) throw new StoreUnavailable();
        await ports.store.transact(writes);
        if (random() < share) throw new StoreUnavailable();
      },
    },
  };
}

/** Mulberry32: a small generator with a seed, so that a failure can be played again. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('many writers, many readers', () => {
  it.each([1, 2])(
    'every reader gets every event, each subject in order (seed %i)',
    { timeout: 60_000 },
    async (seed) => {
      const world = await engine.world();
      const random = randomFrom(seed);
      const tenant = world.caller.tenantId;
      const [WRITERS, SUBJECTS, EVENTS] = [5, 4, 12];
      const streams = await Promise.all(
        Array.from({ length: WRITERS }, async (_, writer) => {
          const subjects = Array.from({ length: SUBJECTS }, (_, index) => `run_${writer}_${index}`);
          const all = await Promise.all(subjects.map((subject) => emitted(world, subject, 1, EVENTS)));
          // As a stream's shard has them: each subject in order, the subjects among each other as they come.
          const left = all.map((events) => [...events]);
          const stream: EventRow[] = [];
          while (left.some((events) => events.length > 0)) {
            const next = left[Math.floor(random() * left.length)]!.shift();
            if (next !== undefined) stream.push(next);
          }
          return stream;
        }),
      );
      let writing = true;
      const faulty = losing(world.ports, 0.15, random);
      const writers = streams.map(async (stream) => {
        for (let at = 0; at < stream.length; ) {
          const size = 1 + Math.floor(random() * 12);
          const delivered = await appendToFeed(faulty, stream.slice(at, at + size)).then(
            () => true,
            () => false,
          );
          // Now and then a part of what was delivered comes again.
          if (delivered) at = random() < 0.2 ? at + Math.floor(size / 2) : at + size;
        }
      });
      const readers = Array.from({ length: 4 }, async () => {
        const reader = newReader();
        for (let last = false; ; last = !writing) {
          // Whoever is killed after an answer, and before it has kept the cursor, reads the same again.
          const { cursor } = reader;
          const caughtUp = await readOnce(world.ports, tenant, reader, { limit: 1 + Math.floor(random() * 60) });
          if (random() < 0.2) reader.cursor = cursor;
          else if (caughtUp && last) return reader;
        }
      });
      await Promise.all(writers);
      writing = false;
      const wanted = Array.from({ length: EVENTS }, (_, index) => index + 1);
      for (const reader of await Promise.all(readers)) {
        const events = distinct(reader);
        expect(events).toHaveLength(WRITERS * SUBJECTS * EVENTS);
        const bySubject = Map.groupBy(events, ({ subject }) => subject.id);
        for (const own of bySubject.values()) expect(own.map(({ sequence }) => sequence)).toEqual(wanted);
      }
    },
  );
});
