/** Requests that cannot be served whatever their fields: preconditions, absent resources, transport, conflicts. */
import { afterAll, beforeAll, describe, expect } from 'vitest';
import type { ErrorCode } from '../../../core/errors.ts';
import { makeStanding, type Row, type Standing, testRefusals } from '../../support/httpRefusals.ts';
import {
  type Answer,
  createHttpWorld,
  type Engine,
  type HttpWorld,
  type SendOptions,
  startHttpEngine,
} from '../../support/httpWorld.ts';

let engine: Engine;
let world: HttpWorld;
let at: Standing;

beforeAll(async () => {
  engine = await startHttpEngine();
  world = await createHttpWorld(engine);
  at = await makeStanding(world);
});
afterAll(() => engine.stop());

const every = { every: '15m' };
const command = ['/bin/true'];
const instant = '2027-01-01T00:15:00Z';
const unknownId = (prefix: string) => `${prefix}${'0'.repeat(26)}`;

const PRECONDITIONS: readonly Row[] = (['agent', 'schedule'] as const).flatMap((kind): Row[] => {
  const path = () => `/v1/${kind}s/${at[kind]}`;
  const patch = (title: string, header: string | undefined, code: ErrorCode, rest: Partial<Row> = {}): Row => ({
    title: `a patch of the ${kind} with ${title}`,
    method: 'PATCH',
    path,
    options: { body: { name: 'new' }, headers: header === undefined ? {} : { 'if-match': header } },
    code,
    ...rest,
  });
  const stale = (answer: Answer) => {
    expect(answer.body.currentVersion).toBe(1);
    expect(answer.headers.get('etag')).toBe('"1"');
  };
  return [
    patch('no If-Match', undefined, 'precondition_required'),
    patch('a stale If-Match', '"9"', 'version_conflict', { more: stale }),
    patch('a weak If-Match', 'W/"1"', 'invalid_request', { pointer: 'If-Match' }),
    patch('an If-Match without quotes', '1', 'invalid_request', { pointer: 'If-Match' }),
    patch('a list in If-Match', '"1", "2"', 'invalid_request', { pointer: 'If-Match' }),
    { title: `a delete of the ${kind} without If-Match`, method: 'DELETE', path, code: 'precondition_required' },
    {
      title: `a delete of the ${kind} with a stale If-Match`,
      method: 'DELETE',
      path,
      options: { headers: { 'if-match': '"9"' } },
      code: 'version_conflict',
      more: stale,
    },
  ];
});

const ABSENT: readonly Row[] = [
  ['GET', '/v1/agents/', 'agt_', 'foreignAgent', ''],
  ['PATCH', '/v1/agents/', 'agt_', 'foreignAgent', ''],
  ['DELETE', '/v1/agents/', 'agt_', 'foreignAgent', ''],
  ['GET', '/v1/agents/', 'agt_', 'foreignAgent', '/schedules'],
  ['POST', '/v1/agents/', 'agt_', 'foreignAgent', '/schedules'],
  ['POST', '/v1/agents/', 'agt_', 'foreignAgent', '/runs'],
  ['GET', '/v1/schedules/', 'sch_', 'foreignSchedule', ''],
  ['PATCH', '/v1/schedules/', 'sch_', 'foreignSchedule', ''],
  ['DELETE', '/v1/schedules/', 'sch_', 'foreignSchedule', ''],
  ['POST', '/v1/schedules/', 'sch_', 'foreignSchedule', '/pause'],
  ['POST', '/v1/schedules/', 'sch_', 'foreignSchedule', '/resume'],
  ['POST', '/v1/schedules/', 'sch_', 'foreignSchedule', '/trigger'],
  ['GET', '/v1/schedules/', 'sch_', 'foreignSchedule', '/occurrences'],
  ['GET', '/v1/schedules/', 'sch_', 'foreignSchedule', '/upcoming'],
  ['GET', '/v1/schedules/', 'sch_', 'foreignSchedule', '/runs'],
  ['GET', '/v1/schedules/', 'sch_', 'foreignSchedule', '/revisions'],
  ['GET', '/v1/schedules/', 'sch_', 'foreignSchedule', '/explain?at=2027-01-01T00:00:00Z'],
  ['POST', '/v1/schedules/', 'sch_', 'foreignSchedule', '/skip'],
  ['POST', '/v1/schedules/', 'sch_', 'foreignSchedule', '/unskip'],
  ['POST', '/v1/schedules/', 'sch_', 'foreignSchedule', '/backfill'],
  ['PATCH', '/v1/schedules/', 'sch_', 'foreignSchedule', '?dryRun=true'],
  ['GET', '/v1/schedules/', 'sch_', 'foreignSchedule', `/backfills/${unknownId('bkf_')}`],
  ['POST', '/v1/schedules/', 'sch_', 'foreignSchedule', `/backfills/${unknownId('bkf_')}/cancel`],
  ['GET', '/v1/runs/', 'run_', 'foreignRun', ''],
  ['POST', '/v1/runs/', 'run_', 'foreignRun', '/cancel'],
  ['GET', '/v1/runs/', 'run_', 'foreignRun', '/events'],
  ['GET', '/v1/runs/', 'run_', 'foreignRun', '/logs'],
  ['GET', '/v1/vms/', 'vm_', undefined, ''],
].flatMap(([method = '', base = '', prefix = '', foreign, rest = '']): Row[] => {
  const options: SendOptions = {
    ...(method !== 'GET' && !rest.endsWith('s') && { headers: { 'if-match': '*' } }),
    ...(method === 'PATCH' && { body: { name: 'x' } }),
    ...(rest === '/schedules' && method === 'POST' && { body: { name: 'x', cadence: every } }),
    ...(rest.endsWith('skip') && { body: { occurrence: instant } }),
    ...(rest === '/backfill' && { body: { from: instant, to: instant } }),
  };
  const row = (title: string, id: () => string): Row => ({
    title: `${method} ${base}{${title}}${rest}`,
    method,
    path: () => `${base}${id()}${rest}`,
    options,
    code: 'not_found',
  });
  return [
    row('unknown id', () => unknownId(prefix)),
    row('malformed id', () => 'x%2F..%00'),
    ...(foreign === undefined ? [] : [row("another tenant's id", () => at[foreign as keyof typeof at])]),
  ];
});

const agentsWith = (title: string, code: ErrorCode, options: SendOptions, more?: Row['more']): Row => ({
  title,
  method: 'POST',
  path: () => '/v1/agents',
  options,
  code,
  ...(more !== undefined && { more }),
});

const TRANSPORT: readonly Row[] = [
  agentsWith('a form', 'unsupported_media_type', {
    rawBody: 'name=x',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  }),
  agentsWith('JSON in another charset', 'unsupported_media_type', {
    rawBody: '{}',
    headers: { 'content-type': 'application/json; charset=latin1' },
  }),
  agentsWith('a compressed body', 'unsupported_media_type', { rawBody: '{}', headers: { 'content-encoding': 'gzip' } }),
  agentsWith('no body', 'unsupported_media_type', {}),
  agentsWith('an empty body', 'malformed_json', { headers: { 'content-type': 'application/json' } }),
  agentsWith('half of a body', 'malformed_json', { rawBody: '{"name":' }),
  agentsWith('bytes that are not UTF-8', 'malformed_json', { rawBody: new Uint8Array([0x22, 0xff, 0x22]) }),
  agentsWith('a body that is too large', 'payload_too_large', { rawBody: `"${'x'.repeat(300 * 1024)}"` }, (answer) =>
    expect(answer.body.maxBytes).toBe(262_144),
  ),
  agentsWith('a length that is too large', 'payload_too_large', {
    rawBody: '{}',
    headers: { 'content-length': '9999999' },
  }),
  ...(
    [
      ['POST', '/v1/system', 'GET, HEAD', /status only/],
      ['DELETE', '/v1/agents', 'GET, HEAD, POST', /DELETE/],
      ['PUT', '/v1/agents/x', 'GET, HEAD, PATCH, DELETE', /PUT/],
      ['GET', '/v1/schedules/x/pause', 'POST', /GET/],
      ['GET', '/v1/schedules/preview', 'POST', /GET/],
      ['GET', `/v1/schedules/x/backfill`, 'POST', /GET/],
      ['POST', '/v1/schedules/x/explain', 'GET, HEAD', /POST/],
      ['POST', '/v1/health', 'GET, HEAD', /POST/],
      ['GET', '/runner/v1/heartbeat', 'POST', /GET/],
    ] as const
  ).map(
    ([method, path, allow, detail]): Row => ({
      title: `${method} ${path}`,
      method,
      path: () => path,
      code: 'method_not_allowed',
      more: (answer) => {
        expect(answer.headers.get('allow')).toBe(allow);
        expect(answer.body.detail).toMatch(detail ?? /./);
      },
    }),
  ),
  ...['/', '/v1', '/v1/agents/', '/v1/nothing', '/v2/agents', '/v1/agents//x'].map(
    (path): Row => ({
      title: `the path ${path}`,
      method: 'GET',
      path: () => path,
      code: 'not_found',
    }),
  ),
];

const any = { 'if-match': '*' };
const CONFLICTS: readonly Row[] = [
  {
    title: "an agent with another one's name",
    method: 'POST',
    path: () => '/v1/agents',
    options: { body: { name: 'tAKEN', command } },
    code: 'name_taken',
    pointer: '/name',
  },
  {
    title: "a schedule with a sibling's name",
    method: 'POST',
    path: (at) => `/v1/agents/${at.agent}/schedules`,
    options: { body: { name: 'daily', cadence: every } },
    code: 'name_taken',
    pointer: '/name',
  },
  {
    title: 'a delete of an agent with schedules',
    method: 'DELETE',
    path: (at) => `/v1/agents/${at.agent}`,
    options: { headers: any },
    code: 'live_schedules',
    more: ({ body }) => expect(body.schedules).toEqual([at.schedule]),
  },
  {
    title: 'a delete of a schedule with a live run',
    method: 'DELETE',
    path: (at) => `/v1/schedules/${at.busySchedule}`,
    options: { headers: any },
    code: 'live_runs',
    more: ({ body }) => expect(body.runs).toEqual([{ runId: at.busyRun }]),
  },
  {
    title: 'a delete with a flag that is neither',
    method: 'DELETE',
    path: (at) => `/v1/schedules/${at.busySchedule}?cancelRuns=1`,
    options: { headers: any },
    code: 'invalid_request',
    pointer: 'cancelRuns',
    message: /^must be true or false$/,
  },
  {
    title: 'a trigger while a run is live',
    method: 'POST',
    path: (at) => `/v1/schedules/${at.busySchedule}/trigger`,
    code: 'overlap',
    more: ({ body }) => expect(body.blockingRunId).toBe(at.busyRun),
  },
  {
    title: 'a cancel of a run that has ended',
    method: 'POST',
    path: (at) => `/v1/runs/${at.endedRun}/cancel`,
    code: 'run_ended',
    more: ({ body }) => expect([body.runId, body.currentStatus]).toEqual([at.endedRun, 'cancelled']),
  },
  {
    title: 'a pause with a stale If-Match',
    method: 'POST',
    path: (at) => `/v1/schedules/${at.schedule}/pause`,
    options: { headers: { 'if-match': '"9"' } },
    code: 'version_conflict',
  },
  {
    title: 'a resume with a body of another shape',
    method: 'POST',
    path: (at) => `/v1/schedules/${at.schedule}/resume`,
    options: { body: { reason: 'x' } },
    code: 'invalid_request',
    pointer: '/reason',
  },
];

describe('is refused with a problem that names the fault and the remedy:', () => {
  testRefusals([...PRECONDITIONS, ...ABSENT, ...TRANSPORT, ...CONFLICTS], () => ({ world, at }));
});
