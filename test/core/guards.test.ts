/**
 * Guard removal: every guard of the core stands in one of two lists. What is in `RACES` is needed: in the interleaving
 * that is played here, with that guard (and nothing else, or with the ones named beside it that cover it) taken out, an
 * invariant breaks; with it, it holds. What is in `COVERED` breaks nothing alone, because another guard of the same
 * transaction says the same.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { guardsOfCore } from '../simulation/guards.ts';
import { type TestEngine, testEngine } from '../support/world.ts';
import { CHILD_GUARDS_COVERED, CHILD_RACES } from './childRaces.ts';
import { CLOCK_RACES } from './clockRaces.ts';
import { DEPOSIT_RACES } from './depositRaces.ts';
import { DRAWN_AGAIN_RACES } from './drawnAgainRaces.ts';
import { FEED_RACES, GARBAGE_RACES } from './feedRaces.ts';
import { IDEMPOTENCY_RACES } from './idempotencyRaces.ts';
import { OWNER_RACES } from './ownerRaces.ts';
import type { Race } from './race.ts';
import { RUN_RACES } from './runRaces.ts';
import { SCHEDULE_RACES } from './scheduleRaces.ts';
import { VM_RACES } from './vmRaces.ts';
import { WATCHDOG_RACES } from './watchdogRaces.ts';
import { WEBHOOK_GUARDS_COVERED, WEBHOOK_RACES } from './webhookRaces.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

const RACES: readonly Race[] = [
  ...CHILD_RACES,
  ...CLOCK_RACES,
  ...DEPOSIT_RACES,
  ...DRAWN_AGAIN_RACES,
  ...FEED_RACES,
  ...GARBAGE_RACES,
  ...IDEMPOTENCY_RACES,
  ...WATCHDOG_RACES,
  ...WEBHOOK_RACES,
  ...OWNER_RACES,
  ...RUN_RACES,
  ...SCHEDULE_RACES,
  ...VM_RACES,
];

/** Why a guard alone protects nothing more: candidates for deletion, or kept as a second lock on the same door. */
const COVERED: Readonly<Record<string, string>> = {
  ...CHILD_GUARDS_COVERED,
  ...WEBHOOK_GUARDS_COVERED,
  'run.createdOnce': 'fire.occurrenceOnce and fire.liveSetUnchanged; elsewhere the id is new',
  'run.sameAttempt': 'run.unchanged: every change of the attempt is a new version',
  'dispatch.noMarker': 'run.unchanged: the marker is set with a new version',
  'correction.once': 'run.unchanged: the correction is stored with a new version',
  'withheld.rangeOnce': 'schedule.unchanged: two resumes collide there first',
  'principal.asSeen': 'event.appendedOnce: two first calls of one user append the same event',
  'agent.createdOnce': 'agent.versionOnce and event.appendedOnce: both stand under its id',
  'agent.versionOnce': 'agent.unchanged',
  'agent.nameOurs': 'agent.unchanged: a rename is a new version',
  'schedule.createdOnce': 'schedule.revisionOnce and event.appendedOnce: both stand under its id',
  'schedule.revisionOnce': 'schedule.unchanged and the like: a new spec comes with a new version',
  'schedule.nameOurs': 'schedule.unchanged: a rename is a new version',
  'schedule.agentCounts': 'schedule.unchanged: a schedule is counted off once',
  'check.stillDue': 'check.rowUnchanged: what comes to rest is a new version',
};

describe.each(RACES)('$without.0, when $when', ({ without, breaks, held }) => {
  it(`is needed: without it, ${breaks}`, async () => {
    const world = await engine.world({}, (guards) => guards.filter((each) => !without.includes(each.name)));
    expect(await held(world)).toBe(false);
  });

  it('holds, and no two conditions of a write have one name', async () => {
    const repeated: string[] = [];
    const world = await engine.world({}, (guards) => {
      const names = guards.map(({ name }) => name);
      repeated.push(...names.filter((name, at) => names.indexOf(name) !== at));
      return guards;
    });
    expect(await held(world)).toBe(true);
    expect(repeated).toEqual([]);
  });
});

describe('the guards that another one covers', () => {
  it.each(RACES.filter((race) => race.without.length > 1))(
    'hold $without.0 alone taken out, in every race, by $without.1',
    async ({ without, held }) => {
      const world = await engine.world({}, (guards) => guards.filter((each) => each.name !== without[0]));
      expect(await held(world)).toBe(true);
    },
  );

  it('are not needed in any race that is played here', async () => {
    const names = Object.keys(COVERED);
    for (const { held } of RACES) {
      const world = await engine.world({}, (guards) => guards.filter((each) => !names.includes(each.name)));
      expect(await held(world)).toBe(true);
    }
    // Every race there is, one after the other.
  }, 120_000);
});

it('lists every guard of the core: a new one comes with its proof', () => {
  const names = guardsOfCore();
  const known = new Set([...RACES.map((race) => race.without[0]), ...Object.keys(COVERED)]);
  expect(names.filter((name) => !known.has(name))).toEqual([]);
  expect([...known].filter((name) => !names.includes(name)).sort()).toEqual([]);
});
