/** What the API answers about schedules: previews, the ledger and its reasons, single occurrences, backfills, dry runs. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { fire } from '../../../core/schedules/fire.ts';
import {
  createHttpWorld,
  type Engine,
  type HttpWorld,
  makeAgent,
  makeSchedule,
  startHttpEngine,
} from '../../support/httpWorld.ts';

let engine: Engine;
let world: HttpWorld;

beforeAll(async () => {
  engine = await startHttpEngine();
});
beforeEach(async () => {
  world = await createHttpWorld(engine);
});
afterAll(() => engine.stop());

const preview = async (body: object) => {
  const answer = await world.send('POST', '/v1/schedules/preview', { body });
  expect(answer.status, answer.text).toBe(200);
  return answer.body;
};

describe('a preview', () => {
  test('shows the times in UTC and local, the expression, and the clock changes of the year', async () => {
    const body = await preview({
      cadence: { cron: '30 2 * * *', timezone: 'Europe/Berlin' },
      from: '2027-03-27T00:00:00Z',
      count: 2,
    });
    expect(body).toEqual({
      occurrences: [
        { utc: '2027-03-27T01:30:00Z', local: '2027-03-27T02:30:00+01:00[Europe/Berlin]' },
        { utc: '2027-03-29T00:30:00Z', local: '2027-03-29T02:30:00+02:00[Europe/Berlin]' },
      ],
      awsExpression: { expression: 'cron(30 2 * * ? *)', timezone: 'Europe/Berlin' },
      warnings: [
        expect.stringMatching(/^02:30 does not exist on 2027-03-28 in Europe\/Berlin/),
        expect.stringMatching(/^02:30 comes twice on 2027-10-31/),
        // 366 days on, the clock has been put forward once more.
        expect.stringMatching(/^02:30 does not exist on 2028-03-26/),
      ],
      asOf: '2027-01-01T00:00:00.000Z',
    });
  });

  test('begins now and with ten, in UTC where the cadence has no zone', async () => {
    const body = await preview({ cadence: { every: '15m' } });
    expect(body.occurrences).toHaveLength(10);
    expect(body.occurrences[0]).toEqual({ utc: '2027-01-01T00:15:00Z', local: '2027-01-01T00:15:00+00:00[UTC]' });
    expect(body.awsExpression).toEqual({ expression: 'rate(15 minutes)', timezone: 'UTC' });
    expect(body.warnings).toEqual([]);
  });

  test('takes a single time in its own zone', async () => {
    const body = await preview({ cadence: { at: '2027-07-01T12:00:00+02:00', timezone: 'Asia/Tokyo' } });
    expect(body.occurrences).toEqual([{ utc: '2027-07-01T10:00:00Z', local: '2027-07-01T19:00:00+09:00[Asia/Tokyo]' }]);
    expect(body.awsExpression).toEqual({ expression: 'at(2027-07-01T19:00:00)', timezone: 'Asia/Tokyo' });
  });

  test('counts an occurrence at either bound as the schedule would: the start is in, the end is out', async () => {
    const cadence = { cron: '0 9 * * *', timezone: 'UTC' };
    const window = { startAt: '2027-02-01T09:00:00Z', endAt: '2027-02-03T09:00:00Z' };
    const times = (await preview({ cadence, window })).occurrences.map(({ utc }: { utc: string }) => utc);
    expect(times).toEqual(['2027-02-01T09:00:00Z', '2027-02-02T09:00:00Z']);
    const made = await makeSchedule(world, (await makeAgent(world)).id, { cadence, window });
    expect(made.nextOccurrences).toEqual(times);
    const from = (await preview({ cadence, window, from: '2027-02-02T09:00:00Z' })).occurrences;
    expect(from.map(({ utc }: { utc: string }) => utc)).toEqual(['2027-02-02T09:00:00Z']);
  });

  test.each([
    ['a date that never comes', { cron: '0 0 30 2 *', timezone: 'UTC' }, {}, /^never fires .*: no such date exists$/],
    ['a year that is over', { cron: '0 0 1 1 ? 2020', timezone: 'UTC' }, {}, /^never fires .*its last year is 2020/],
    [
      'a window that ends too early',
      { cron: '0 9 * * *', timezone: 'UTC' },
      { window: { endAt: '2027-01-01T09:00:00Z' } },
      /^never fires: its window ends at 2027-01-01T09:00:00Z/,
    ],
  ])('warns of %s, which a creation refuses', async (_, cadence, rest, warning) => {
    const body = await preview({ cadence, ...rest });
    expect(body.occurrences).toEqual([]);
    expect(body.warnings).toEqual([expect.stringMatching(warning)]);
    const agent = await makeAgent(world);
    const made = await world.send('POST', `/v1/agents/${agent.id}/schedules`, {
      body: { name: 'x', cadence, ...rest },
    });
    expect(made.status).toBe(422);
  });

  test('warns of a thousand runs a day, and says what AWS cannot', async () => {
    expect((await preview({ cadence: { cron: '* * * * *', timezone: 'UTC' } })).warnings).toEqual([
      'fires 1,440 times a day',
      'is taken only with confirmFrequency: 300 times a day is the limit without',
    ]);
    const odd = await preview({ cadence: { every: 'PT90S' } });
    expect(odd.awsExpression).toBeUndefined();
    expect(odd.awsProblem).toEqual({
      problem: expect.stringContaining('not a whole number of minutes'),
      remedy: 'Use a whole number of minutes: rate(1 minute) or rate(2 minutes).',
    });
    expect(odd.occurrences).toHaveLength(10);
  });

  test('makes nothing', async () => {
    await preview({ cadence: { every: '15m' } });
    expect((await world.send('GET', '/v1/schedules')).body.items).toEqual([]);
    expect(world.clocks).toEqual([]);
  });
});

/** A schedule that fires every 15 minutes from 00:15 on, its agent's runs never ending. */
async function quarterHourly(fields: object = {}): Promise<{ readonly id: string; readonly path: string }> {
  const { id } = await makeSchedule(world, (await makeAgent(world)).id, fields);
  return { id, path: `/v1/schedules/${id}` };
}

async function deliver(scheduleId: string, at: string): Promise<void> {
  world.now.ms = Date.parse(at) + 1000;
  await fire(world.ports, { scheduleId, scheduledTime: Date.parse(at) });
}

describe('the ledger', () => {
  test('is filtered by disposition and time, and pages within the filter', async () => {
    const { id, path } = await quarterHourly();
    for (const at of ['00:15', '00:30', '00:45']) await deliver(id, `2027-01-01T${at}:00Z`);
    const times = async (query: string) =>
      (await world.send('GET', `${path}/occurrences${query}`)).body.items.map(
        ({ occurrence }: { occurrence: string }) => occurrence.slice(11, 16),
      );
    expect(await times('')).toEqual(['00:45', '00:30', '00:15']);
    expect(await times('?disposition=dispatched')).toEqual(['00:15']);
    expect(await times('?disposition=missed')).toEqual([]);
    expect(await times('?from=2027-01-01T00:30:00Z')).toEqual(['00:45', '00:30']);
    expect(await times('?to=2027-01-01T00:30:00Z')).toEqual(['00:30', '00:15']);
    expect(await times('?from=2027-01-01T00:30:00Z&to=2027-01-01T00:30:00Z')).toEqual(['00:30']);
    const first = await world.send('GET', `${path}/occurrences?disposition=skipped&limit=1`);
    expect(first.body.items.map((item: { occurrence: string }) => item.occurrence)).toEqual(['2027-01-01T00:45:00Z']);
    expect(await times(`?disposition=skipped&limit=1&cursor=${first.body.nextCursor}`)).toEqual(['00:30']);
  });

  test('says why an occurrence ran, why one did not, and why there was none', async () => {
    const { id, path } = await quarterHourly();
    for (const at of ['00:15', '00:30']) await deliver(id, `2027-01-01T${at}:00Z`);
    const explain = async (at: string) => (await world.send('GET', `${path}/explain?at=${at}`)).body;
    const ran = await explain('2027-01-01T00:15:00Z');
    expect(ran).toMatchObject({ expected: true, occurrence: { disposition: 'dispatched' }, run: { status: 'queued' } });
    expect(ran.answer).toBe(`It ran: run ${ran.run.runId}, now queued.`);
    const blocked = await explain('2027-01-01T01:30:00%2B01:00');
    expect(blocked).toMatchObject({
      at: '2027-01-01T00:30:00Z',
      occurrence: { disposition: 'skipped', reason: 'overlap' },
      blockingRun: { runId: ran.run.runId },
      policy: { overlapPolicy: 'skip' },
      nearest: { before: '2027-01-01T00:15:00Z', after: '2027-01-01T00:45:00Z' },
    });
    const between = await explain('2027-01-01T00:20:00Z');
    expect(between.expected).toBe(false);
    expect(between.answer).toContain('is not an occurrence of the cadence');
  });

  test('keeps every revision, with its author and what it changed', async () => {
    const { path } = await quarterHourly();
    await world.send('PATCH', path, { headers: { 'if-match': '*' }, body: { cadence: { every: '1h' } } });
    await world.send('PATCH', path, {
      headers: { 'if-match': '*' },
      body: { name: 'its times stay', overlapPolicy: 'skip' },
    });
    const { body } = await world.send('GET', `${path}/revisions`);
    expect(body.items).toMatchObject([
      { specVersion: 1, active: true, cadence: { every: 'PT15M' }, by: 'usr_a' },
      { specVersion: 2, active: true, cadence: { every: 'PT1H' }, changed: ['cadence'], by: 'usr_a' },
      { specVersion: 2, active: true, cadence: { every: 'PT1H' }, changed: ['name'], by: 'usr_a' },
    ]);
    const first = await world.send('GET', `${path}/revisions?limit=2`);
    const second = await world.send('GET', `${path}/revisions?limit=2&cursor=${first.body.nextCursor}`);
    expect([...first.body.items, ...second.body.items]).toEqual(body.items);
  });
});

describe('one occurrence', () => {
  test('is taken out, once however often it is asked, and put back', async () => {
    const { id, path } = await quarterHourly();
    const body = { occurrence: '2027-01-01T00:30:00Z', reason: 'maintenance' };
    const skipped = await world.send('POST', `${path}/skip`, { body, headers: { 'if-match': '"1"' } });
    expect([skipped.status, skipped.headers.get('etag')]).toEqual([200, '"2"']);
    expect(skipped.body.skips).toEqual(['2027-01-01T00:30:00Z']);
    expect(skipped.body.nextOccurrences.slice(0, 2)).toEqual(['2027-01-01T00:15:00Z', '2027-01-01T00:45:00Z']);
    expect((await world.send('POST', `${path}/skip`, { body })).body.version).toBe(2);
    expect((await world.send('GET', `${path}/upcoming?count=2`)).body.items[1]).toEqual({
      occurrence: '2027-01-01T00:30:00Z',
      skipped: true,
    });
    const back = await world.send('POST', `${path}/unskip`, { body: { occurrence: '2027-01-01T01:30:00+01:00' } });
    expect([back.status, back.body.version, back.body.skips]).toEqual([200, 3, []]);
    await world.send('POST', `${path}/skip`, { body });
    await deliver(id, '2027-01-01T00:30:00Z');
    const { items } = (await world.send('GET', `${path}/occurrences?from=2027-01-01T00:30:00Z`)).body;
    expect(items).toMatchObject([{ occurrence: '2027-01-01T00:30:00Z', reason: 'skipped_by_request' }]);
  });
});

describe('a backfill', () => {
  const past = { cadence: { every: '1h', startAt: '2026-12-31T20:00:00Z' } };
  const range = { from: '2026-12-31T20:00:00Z', to: '2026-12-31T22:00:00Z' };

  test('answers the runs to come and where to follow them, and is cancelled', async () => {
    const { path } = await quarterHourly(past);
    const started = await world.send('POST', `${path}/backfill`, { body: range });
    expect(started.status, started.text).toBe(202);
    expect(started.headers.get('location')).toBe(`${path}/backfills/${started.body.backfillId}`);
    expect(started.body.backfillId).toMatch(/^bkf_/);
    expect(started.body).toMatchObject({ status: 'running', overlapPolicy: 'buffer_all', leftAlone: 0, remaining: 2 });
    expect(started.body.items.map((item: { occurrence: string }) => item.occurrence)).toEqual([
      '2026-12-31T20:00:00Z',
      '2026-12-31T21:00:00Z',
      '2026-12-31T22:00:00Z',
    ]);
    // One after the other: the first has its run, the next one waits for it.
    const [first, second] = started.body.items;
    expect((await world.send('GET', `/v1/runs/${first.runId}`)).status).toBe(200);
    expect((await world.send('GET', `/v1/runs/${second.runId}`)).status).toBe(404);
    const location = started.headers.get('location')!;
    expect((await world.send('GET', location)).body).toEqual(started.body);

    const again = await world.send('POST', `${path}/backfill`, { body: range });
    expect([again.status, again.body.code, again.body.backfillId]).toEqual([
      409,
      'illegal_transition',
      started.body.backfillId,
    ]);
    const cancelled = await world.send('POST', `${location}/cancel`);
    expect([cancelled.status, cancelled.body.status, cancelled.body.remaining]).toEqual([200, 'cancelled', 0]);
    expect((await world.send('POST', `${location}/cancel`)).body.status).toBe('cancelled');
    expect((await world.send('GET', `/v1/runs/${first.runId}`)).body.status).toBe('queued');
  });

  test('leaves alone what has had its run, unless it is to run again', async () => {
    const { path } = await quarterHourly(past);
    const side = { ...range, overlapPolicy: 'allow_all' };
    const first = await world.send('POST', `${path}/backfill`, { body: side });
    expect(first.body).toMatchObject({ status: 'completed', remaining: 0 });
    const second = await world.send('POST', `${path}/backfill`, { body: side });
    expect(second.body).toMatchObject({ items: [], leftAlone: 3, status: 'completed' });
    const third = await world.send('POST', `${path}/backfill`, { body: { ...side, again: true } });
    expect(third.body).toMatchObject({ leftAlone: 0, status: 'completed' });
    expect(third.body.items).toHaveLength(3);
    expect((await world.send('GET', `${path}/runs`)).body.items).toHaveLength(6);
  });
});

describe('a dry run', () => {
  test('tells what a patch would change, and changes nothing', async () => {
    const { path } = await quarterHourly({ cadence: { cron: '0 9 * * *', timezone: 'UTC' }, metadata: { a: 'b' } });
    const before = await world.send('GET', path);
    const clocks = world.clocks.length;
    const told = await world.send('PATCH', `${path}?dryRun=true`, {
      body: {
        name: 'other',
        cadence: { cron: '0 9 * * MON', timezone: 'UTC' },
        input: { big: true },
        metadata: null,
        remainingRuns: 2,
      },
    });
    expect(told.status, told.text).toBe(200);
    expect(told.headers.get('etag')).toBeNull();
    expect(told.body).toMatchObject({
      scheduleId: before.body.id,
      version: 1,
      added: [],
      unchanged: 2,
      truncated: false,
    });
    expect(told.body.removed).toHaveLength(28);
    expect(told.body.overlaps).toEqual({ predicted: 0, sample: 0 });
    const after = await world.send('GET', path);
    expect([after.headers.get('etag'), after.body]).toEqual(['"1"', before.body]);
    expect((await world.send('GET', `${path}/revisions`)).body.items).toHaveLength(1);
    expect(world.clocks).toHaveLength(clocks);
    // What it was told for is what the change itself then does.
    const changed = await world.send('PATCH', `${path}?dryRun=false`, {
      headers: { 'if-match': `"${told.body.version}"` },
      body: { cadence: { cron: '0 9 * * MON', timezone: 'UTC' } },
    });
    expect([changed.status, changed.body.version]).toEqual([200, 2]);
    expect(changed.body.nextOccurrences[0]).toBe('2027-01-04T09:00:00Z');
  });

  test('needs the precondition that the change needs once it is no dry run', async () => {
    const { path } = await quarterHourly();
    expect((await world.send('PATCH', `${path}?dryRun=false`, { body: { name: 'x' } })).status).toBe(428);
  });
});

describe('where schedules are off', () => {
  test('their paths are unknown, and agents and runs are as ever', async () => {
    world = await createHttpWorld(engine, { features: { schedules: false } });
    const agent = await makeAgent(world);
    const unknown = await world.send('GET', '/v1/nothing');
    for (const [method, path] of [
      ['GET', '/v1/schedules'],
      ['POST', '/v1/schedules/preview'],
      ['GET', `/v1/schedules/sch_${'0'.repeat(26)}`],
      ['DELETE', '/v1/schedules'],
      ['POST', `/v1/schedules/sch_${'0'.repeat(26)}/trigger`],
      ['GET', `/v1/schedules/sch_${'0'.repeat(26)}/occurrences`],
      ['GET', `/v1/agents/${agent.id}/schedules`],
      ['POST', `/v1/agents/${agent.id}/schedules`],
    ] as const) {
      const answer = await world.send(method, path);
      expect([answer.status, answer.body.detail], path).toEqual([404, unknown.body.detail]);
    }
    const run = await world.send('POST', `/v1/agents/${agent.id}/runs`);
    expect(run.status).toBe(202);
    expect((await world.send('GET', `/v1/runs/${run.body.id}`)).status).toBe(200);
    expect(
      (await world.send('DELETE', `/v1/agents/${agent.id}?cancelRuns=true`, { headers: { 'if-match': '*' } })).status,
    ).toBe(204);
  });
});
