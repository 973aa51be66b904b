/** Cadences, times and ranges that cannot be: each is named, with what to do instead. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeStanding, type Row, type Standing, testRefusals } from '../../support/httpRefusals.ts';
import { createHttpWorld, type Engine, type HttpWorld, startHttpEngine } from '../../support/httpWorld.ts';

let engine: Engine;
let world: HttpWorld;
let at: Standing;

beforeAll(async () => {
  engine = await startHttpEngine();
  world = await createHttpWorld(engine);
  at = await makeStanding(world);
});
afterAll(() => engine.stop());

const PAST = '2026-12-31T23:00:00Z';
const schedulePath = (rest: string) => (at: Standing) => `/v1/schedules/${at.schedule}${rest}`;

interface Place {
  readonly name: string;
  readonly method: string;
  readonly path: (at: Standing) => string;
  readonly body: (cadence: object) => object;
}

/** Wherever a cadence can be sent, the same ones are refused, with the same words. */
const PLACES: readonly Place[] = [
  {
    name: 'a schedule with',
    method: 'POST',
    path: (at) => `/v1/agents/${at.agent}/schedules`,
    body: (cadence) => ({ name: 'x', cadence }),
  },
  { name: 'a preview of', method: 'POST', path: () => '/v1/schedules/preview', body: (cadence) => ({ cadence }) },
  { name: 'a change to', method: 'PATCH', path: schedulePath(''), body: (cadence) => ({ cadence }) },
  { name: 'a dry run of', method: 'PATCH', path: schedulePath('?dryRun=true'), body: (cadence) => ({ cadence }) },
];

const cron = (text: string) => ({ cron: text, timezone: 'Europe/Berlin' });
const CADENCES: readonly (readonly [title: string, cadence: object, pointer: string, message: RegExp])[] = [
  ['four fields', cron('0 9 * *'), '/cadence/cron', /^must have 5 fields .*, it has 4$/],
  ['seconds', cron('0 0 9 * * MON 2027'), '/cadence/cron', /it has 7: leave out the seconds/],
  ['a minute out of range', cron('60 * * * *'), '/cadence/cron', /^minute 60 is above the highest value, 59/],
  ['an hour that is no number', cron('0 noon * * *'), '/cadence/cron', /^hour /],
  ['a range that runs backwards', cron('0 9 * * FRI-MON'), '/cadence/cron', /^day-of-week "FRI-MON" runs backwards/],
  ['a list with an empty item', cron('0,,5 * * * *'), '/cadence/cron', /^minute .*remove the comma/],
  ['a step of 0', cron('*/0 * * * *'), '/cadence/cron', /the smallest step is 1/],
  ['both day fields', cron('0 9 13 * FRI'), '/cadence/cron', /^restricts both .*Make two schedules/],
  ['no ? in the six fields', cron('0 9 13 * FRI *'), '/cadence/cron', /one of the two must be \?/],
  ['LW', cron('0 9 LW * ? *'), '/cadence/cron', /^day-of-month LW .* is not documented/],
  ['a sixth weekday of a month', cron('0 9 ? * FRI#6 *'), '/cadence/cron', /only 1 to 5/],
  ['the wrapped form of AWS', cron('cron(0 9 * * ? *)'), '/cadence/cron', /leave out "cron\("/],
  ['a rate', cron('rate(5 minutes)'), '/cadence/cron', /use the cadence "every"/],
  ['@reboot', cron('@reboot'), '/cadence/cron', /^@reboot names no time/],
  ['an unknown @ word', cron('@fortnightly'), '/cadence/cron', /is not known: use one of @yearly/],
  ['an unknown zone', { cron: '0 9 * * *', timezone: 'Mars/Olympus' }, '/cadence/timezone', /IANA time zone/],
  ['a time that is past', { at: PAST }, '/cadence/at', /^must be in the future/],
  ['the present instant', { at: '2027-01-01T00:00:00Z' }, '/cadence/at', /^must be in the future/],
  ['a time that does not exist', { at: '2027-02-30T00:00:00Z' }, '/cadence/at', /ISO 8601 time/],
  ['less than a minute', { every: '59s' }, '/cadence/every', /^must be between PT1M/],
  ['two kinds', { every: '5m', at: PAST }, '/cadence', /it has every and at/],
];

/** A preview answers it: it never fires. */
const isPast = (cadence: object) =>
  'at' in cadence && !('every' in cadence) && Date.parse(String(cadence.at)) <= Date.parse('2027-01-01T00:00:00Z');

const CADENCE_ROWS: readonly Row[] = PLACES.flatMap(({ name, method, path, body }) =>
  CADENCES.filter(([, cadence]) => !(name === 'a preview of' && isPast(cadence))).map(
    ([title, cadence, pointer, message]): Row => ({
      title: `${name} ${title}`,
      method,
      path,
      options: { body: body(cadence), ...(method === 'PATCH' && { headers: { 'if-match': '*' } }) },
      code: 'invalid_request',
      pointer,
      message,
    }),
  ),
);

const post = (title: string, rest: string, body: unknown, pointer: string, message: RegExp): Row => ({
  title,
  method: 'POST',
  path: rest.startsWith('/v1') ? () => rest : schedulePath(rest),
  options: { body },
  code: 'invalid_request',
  pointer,
  message,
});
const get = (rest: string, pointer: string, message: RegExp): Row => ({
  title: `GET ${rest}`,
  method: 'GET',
  path: schedulePath(rest),
  code: 'invalid_request',
  pointer,
  message,
});
const created = (title: string, fields: object, pointer: string, message: RegExp): Row => ({
  title: `a schedule with ${title}`,
  method: 'POST',
  path: (at) => `/v1/agents/${at.agent}/schedules`,
  options: { body: { name: 'x', cadence: { every: '15m' }, ...fields } },
  code: 'invalid_request',
  pointer,
  message,
});

const preview = '/v1/schedules/preview';
const daily = { cron: '0 9 * * *', timezone: 'UTC' };
const range = (from: string, to: string) => ({ from, to });

const ROWS: readonly Row[] = [
  created(
    'an interval that AWS cannot say',
    { cadence: { every: '90s' } },
    '/cadence/every',
    /not a whole number of min/,
  ),
  created('a flexible window that is too long', { flexibleWindow: 'P2D' }, '/flexibleWindow', /between PT1M and P1D/),
  created('no failures at all', { pauseOnFailure: { consecutive: 0 } }, '/pauseOnFailure/consecutive', /at least 1/),
  created('half a run remaining', { remainingRuns: 1.5 }, '/remainingRuns', /^must be a whole number/),
  created('no runs remaining', { remainingRuns: 0 }, '/remainingRuns', /at least 1/),
  post('a preview without a cadence', preview, {}, '/cadence', /^is required$/),
  post('a preview of too many', preview, { cadence: daily, count: 1001 }, '/count', /^must be at most 1000$/),
  post('a preview of none', preview, { cadence: daily, count: 0 }, '/count', /^must be at least 1$/),
  post('a preview from a date', preview, { cadence: daily, from: '2027-01-01' }, '/from', /Z or an offset/),
  post('a preview with more', preview, { cadence: daily, name: 'x' }, '/name', /not a known field/),
  post(
    'a preview in an empty window',
    preview,
    { cadence: daily, window: { startAt: PAST, endAt: PAST } },
    '/window/endAt',
    /must be after startAt/,
  ),
  post('a skip of nothing', '/skip', {}, '/occurrence', /^is required$/),
  post('a skip of what is past', '/skip', { occurrence: PAST }, '/occurrence', /^must be a future occurrence/),
  post(
    'a skip of no occurrence',
    '/skip',
    { occurrence: '2027-01-01T00:16:00Z' },
    '/occurrence',
    /^is not an occurrence of this schedule; the next one after it is 2027-01-01T00:30:00Z$/,
  ),
  post('an unskip of no occurrence', '/unskip', { occurrence: '2027-01-01T00:16:00Z' }, '/occurrence', /^is not an/),
  post('an unskip with a reason', '/unskip', { occurrence: PAST, reason: 'x' }, '/reason', /not a known field/),
  post('a backfill without an end', '/backfill', { from: PAST }, '/to', /^is required$/),
  post(
    'a backfill that runs backwards',
    '/backfill',
    range(PAST, '2026-12-31T22:00:00Z'),
    '/to',
    /^must not be before from$/,
  ),
  post(
    'a backfill of what is to come',
    '/backfill',
    range(PAST, '2027-01-01T01:00:00Z'),
    '/to',
    /^must not be in the future/,
  ),
  post('a backfill of nothing', '/backfill', range(PAST, PAST), '/from', /^leaves no occurrence/),
  post(
    'a backfill that cancels others',
    '/backfill',
    { ...range(PAST, PAST), overlapPolicy: 'cancel_other' },
    '/overlapPolicy',
    /^must be buffer_all .* or allow_all/,
  ),
  get('/explain', 'at', /^is required$/),
  get('/explain?at=yesterday', 'at', /ISO 8601 time/),
  get('/explain?at=2027-01-01T00:00:00Z&why=1', 'why', /not a known parameter/),
  get('/occurrences?disposition=ran', 'disposition', /^must be dispatched, buffered, skipped or missed$/),
  get('/occurrences?from=2027', 'from', /ISO 8601 time/),
  get('/occurrences?from=2027-01-02T00:00:00Z&to=2027-01-01T00:00:00Z', 'to', /^must not be before from$/),
  get('/occurrences?since=2027-01-02T00:00:00Z', 'since', /not a known parameter/),
  get('/occurrences?dispositon=missed', 'dispositon', /did you mean disposition/),
  get('/revisions?cursor=abc', 'cursor', /nextCursor/),
  {
    title: 'a dry run that is neither',
    method: 'PATCH',
    path: schedulePath('?dryRun=yes'),
    options: { body: { name: 'x' }, headers: { 'if-match': '*' } },
    code: 'invalid_request',
    pointer: 'dryRun',
    message: /^must be true or false$/,
  },
  {
    title: 'a dry run with a stale If-Match',
    method: 'PATCH',
    path: schedulePath('?dryRun=true'),
    options: { body: { name: 'x' }, headers: { 'if-match': '"9"' } },
    code: 'version_conflict',
  },
  ...(['skip', 'unskip', 'backfill'] as const).map(
    (verb): Row => ({
      title: `a ${verb} with a stale If-Match`,
      method: 'POST',
      path: schedulePath(`/${verb}`),
      options: {
        headers: { 'if-match': '"9"' },
        body: verb === 'backfill' ? range(PAST, PAST) : { occurrence: '2027-01-01T00:15:00Z' },
      },
      code: 'version_conflict',
    }),
  ),
  {
    title: 'a backfill that never was',
    method: 'GET',
    path: schedulePath(`/backfills/bkf_${'0'.repeat(26)}`),
    code: 'not_found',
  },
  {
    title: 'a backfill whose id has another form',
    method: 'POST',
    path: schedulePath('/backfills/run_1/cancel'),
    code: 'not_found',
  },
];

describe('is refused with the field and what is wrong with it:', () => {
  testRefusals([...CADENCE_ROWS, ...ROWS], () => ({ world, at }));
});

test('a backfill of more than 1000 occurrences is refused before anything is written', async () => {
  const { agent } = at;
  const made = await world.send('POST', `/v1/agents/${agent}/schedules`, {
    body: { name: 'minutely', cadence: { every: '1m', startAt: '2026-01-01T00:00:00Z' }, confirmFrequency: true },
  });
  const path = `/v1/schedules/${made.body.id}`;
  const answer = await world.send('POST', `${path}/backfill`, {
    body: range('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'),
  });
  expect([answer.status, answer.body.errors[0]?.pointer]).toEqual([422, '/to']);
  expect(answer.body.errors[0].message).toMatch(/more than 1000 occurrences.*split the range/);
  expect((await world.send('GET', path)).body.backfill).toBeUndefined();
});

test('times at the ends of what can be written are answered, not failed', async () => {
  const path = schedulePath('')(at);
  for (const when of ['0000-01-01T00:00:00Z', '1960-05-05T05:05:05Z', '9999-12-31T23:59:59Z']) {
    for (const rest of [`/explain?at=${when}`, `/occurrences?from=${when}`, `/occurrences?to=${when}`])
      expect((await world.send('GET', `${path}${rest}`)).status, rest).toBe(200);
    const skip = await world.send('POST', `${path}/skip`, { body: { occurrence: when } });
    expect(skip.status).toBe(422);
    const shown = await world.send('POST', preview, { body: { cadence: daily, from: when, count: 2 } });
    expect(shown.status, shown.text).toBe(200);
  }
});
