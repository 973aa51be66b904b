/**
 * I8 over HTTP: eight clients that create, patch, pause, resume and delete the same things with If-Match, in 200 random
 * interleavings. Each patch adds its own mark to what its client has read: a mark that is missing at the end is a lost
 * update. `RACE_SEED=7` plays another 200.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Store } from '../../../core/ports.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import {
  type Answer,
  createHttpWorld,
  type Engine,
  type HttpWorld,
  makeAgent,
  startHttpEngine,
} from '../../support/httpWorld.ts';

const SEED = Number(process.env.RACE_SEED ?? 1);
const INTERLEAVINGS = 200;
const CLIENTS = 8;
const STEPS = 3;

/** mulberry32: one stream of dice per client, so that a failure can be played again as far as the machine's timing allows. */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Requests reach the table in an order that the dice decide, not the one in which they were sent. */
const shuffled =
  (roll: (below: number) => number) =>
  (store: Store): Store => {
    const delayed =
      <Args extends unknown[], Result>(call: (...args: Args) => Promise<Result>) =>
      async (...args: Args): Promise<Result> => {
        for (let turns = roll(4); turns > 0; turns--) await nextTurn();
        return call(...args);
      };
    return {
      get: delayed((key) => store.get(key)),
      getMany: delayed((wanted) => store.getMany(wanted)),
      query: delayed((range) => store.query(range)),
      queryIndex: delayed((range) => store.queryIndex(range)),
      transact: delayed((writes) => store.transact(writes)),
    };
  };

let engine: Engine;
beforeAll(async () => {
  engine = await startHttpEngine();
});
afterAll(() => engine.stop());

interface Done {
  readonly action: 'patch' | 'pause' | 'resume' | 'delete' | 'create';
  readonly sent: number;
  readonly answered: number;
  readonly mark?: string;
}

interface Field {
  readonly kind: 'schedule' | 'agent';
  /** Where they are made, and one of them is. */
  readonly list: string;
  readonly path: string;
  readonly body: object;
}

/** What may be answered to a change, and nothing else. */
function expectAnswer({ status, headers, body, text }: Answer, sent: number | 'none', ok: readonly number[]): boolean {
  if (ok.includes(status)) return true;
  if (status === 404) return false;
  if (sent === 'none') {
    expect([status, body.code], text).toEqual([428, 'precondition_required']);
    return false;
  }
  expect([status, body.code], text).toEqual([412, 'version_conflict']);
  expect(body.currentVersion).toBeGreaterThan(sent);
  expect(headers.get('etag')).toBe(`"${body.currentVersion}"`);
  return false;
}

/** One client: reads, decides, changes what it has read, which at times was long ago. */
async function play(world: HttpWorld, field: Field, name: string, roll: (below: number) => number) {
  const done: Done[] = [];
  let read = await world.send('GET', field.path);
  for (let step = 0; step < STEPS; step++) {
    if (step > 0 && roll(2) === 0) read = await world.send('GET', field.path);
    const { version, metadata, status } = read.body as { version: number; metadata: object; status: string };
    const isGone = read.status === 404 || status === 'deleted';
    const ifMatch = { headers: { 'if-match': `"${version}"` } };
    const what = roll(20);
    if (what === 0 || isGone) {
      const made = await world.send('POST', field.list, { body: field.body });
      expect([201, 409], made.text).toContain(made.status);
      if (made.status === 201) done.push({ action: 'create', sent: 0, answered: made.body.version });
    } else if (what === 1 && step > 1) {
      const answer = await world.send('DELETE', field.path, ifMatch);
      if (expectAnswer(answer, version, [204])) done.push({ action: 'delete', sent: version, answered: version + 1 });
    } else if (what === 2) {
      expectAnswer(await world.send('PATCH', field.path, { body: {} }), 'none', []);
    } else if (what < 9 && field.kind === 'schedule') {
      const action = status === 'paused' ? 'resume' : 'pause';
      const answer = await world.send('POST', `${field.path}/${action}`, ifMatch);
      // Deleted between the read and the action: 404. Paused by another at this version: not possible, it is another version.
      if (expectAnswer(answer, version, [200])) done.push({ action, sent: version, answered: answer.body.version });
    } else {
      const mark = `${name}-${step}`;
      const body = { metadata: { ...metadata, [mark]: 'here' } };
      const answer = await world.send('PATCH', field.path, { ...ifMatch, body });
      if (expectAnswer(answer, version, [200]))
        done.push({ action: 'patch', sent: version, answered: answer.body.version, mark });
    }
  }
  return done;
}

const EVENTS = {
  patch: 'changed',
  pause: 'paused',
  resume: 'resumed',
  delete: 'deleted',
  create: 'created',
} as const satisfies Record<Done['action'], string>;

async function eventsOf(world: HttpWorld, pk: string): Promise<readonly unknown[]> {
  const { items } = await world.ports.store.query({ pk, prefix: 'EVT#', limit: 500 });
  return items.map(({ sequence, type }) => [sequence, type]);
}

async function interleave(world: HttpWorld, field: Field, id: string, seed: number): Promise<number> {
  const clients = Array.from({ length: CLIENTS }, (_, index) =>
    play(world, field, `c${index}`, dice(seed * CLIENTS + index)),
  );
  const done = (await Promise.all(clients)).flat();
  const changes = done.filter(({ action }) => action !== 'create');
  const trace = `seed ${SEED}, ${field.kind} interleaving ${seed}: ${JSON.stringify(done)}`;
  // Each change made the version after the one that it was for, no two made the same, and none is missing. The answer
  // shows what stood when it was given: that may be what others have made of it since.
  for (const { sent, answered } of changes) expect(answered, trace).toBeGreaterThan(sent);
  const made = changes.toSorted((left, right) => left.sent - right.sent);
  const key = field.kind === 'schedule' ? keys.schedule(id) : keys.agent(id);
  expect(await eventsOf(world, key.pk), trace).toEqual([
    [1, `${field.kind}.created`],
    ...made.map(({ action, sent }) => [sent + 1, `${field.kind}.${EVENTS[action]}`]),
  ]);
  expect(
    made.map(({ sent }) => sent),
    trace,
  ).toEqual(made.map((_, index) => index + 1));
  const row = await world.ports.store.get(key);
  expect(row?.version, trace).toBe(changes.length + 1);
  const marks = changes.flatMap(({ mark }) => (mark === undefined ? [] : [mark]));
  expect(Object.keys((row?.metadata ?? {}) as object).sort(), trace).toEqual(marks.sort());
  const deletes = changes.filter(({ action }) => action === 'delete').length;
  expect(deletes, trace).toBe(row?.status === 'deleted' ? 1 : 0);
  // Of creations under the same name, one at a time has it.
  const creations = done.length - changes.length;
  if (deletes === 0) expect(creations, trace).toBe(0);
  expect(creations, trace).toBeLessThanOrEqual(1);
  return changes.length;
}

test(`${INTERLEAVINGS} interleavings of ${CLIENTS} clients lose no update and skip no version`, {
  timeout: 600_000,
}, async () => {
  const world = await createHttpWorld(engine, { wrapStore: shuffled(dice(SEED)) });
  let changes = 0;
  for (let round = 0; round < INTERLEAVINGS; round++) {
    const seed = SEED * 10_000 + round;
    if (round % 4 === 3) {
      const body = { name: `raced ${round}`, command: ['/bin/true'], metadata: {} };
      const { id } = (await world.send('POST', '/v1/agents', { body })).body;
      changes += await interleave(
        world,
        { kind: 'agent', list: '/v1/agents', path: `/v1/agents/${id}`, body },
        id,
        seed,
      );
      continue;
    }
    const list = `/v1/agents/${(await makeAgent(world)).id}/schedules`;
    const body = { name: 'raced', cadence: { every: '1h' }, metadata: {} };
    const { id } = (await world.send('POST', list, { body })).body;
    changes += await interleave(world, { kind: 'schedule', list, path: `/v1/schedules/${id}`, body }, id, seed);
  }
  // Enough of them got through, and enough lost, for this to have been a race.
  expect(changes).toBeGreaterThan(INTERLEAVINGS);
  expect(changes).toBeLessThan(INTERLEAVINGS * CLIENTS * STEPS * 0.8);
});
