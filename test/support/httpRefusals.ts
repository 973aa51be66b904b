/** Rows of the tables of refusals: a request, and the problem that it must be answered with. */
import { expect, test } from 'vitest';
import { TITLES } from '../../adapters/http/problem.ts';
import { ERROR_CODES, type ErrorCode, isRetryable } from '../../core/errors.ts';
import { type Answer, type HttpWorld, makeAgent, makeSchedule, OTHER_TOKEN, type SendOptions } from './httpWorld.ts';

/** What stands before a row is sent: ids of tenant A's resources, and `foreign` ones of tenant B. */
export type Standing = Record<
  | 'agent'
  | 'schedule'
  | 'busyAgent'
  | 'busySchedule'
  | 'busyRun'
  | 'endedRun'
  | 'foreignAgent'
  | 'foreignSchedule'
  | 'foreignRun',
  string
>;

export async function makeStanding(world: HttpWorld): Promise<Standing> {
  const agent = await makeAgent(world, { name: 'Taken' });
  const schedule = await makeSchedule(world, agent.id, { name: 'Daily' });
  const busyAgent = await makeAgent(world);
  const busySchedule = await makeSchedule(world, busyAgent.id);
  const busyRun = (await world.send('POST', `/v1/schedules/${busySchedule.id}/trigger`)).body;
  const endedRun = (await world.send('POST', `/v1/agents/${busyAgent.id}/runs`)).body;
  await world.send('POST', `/v1/runs/${endedRun.id}/cancel`);
  const foreignAgent = await makeAgent(world, {}, OTHER_TOKEN);
  const foreignSchedule = await makeSchedule(world, foreignAgent.id, {}, OTHER_TOKEN);
  const foreignRun = (await world.send('POST', `/v1/agents/${foreignAgent.id}/runs`, { token: OTHER_TOKEN })).body;
  return {
    agent: agent.id,
    schedule: schedule.id,
    busyAgent: busyAgent.id,
    busySchedule: busySchedule.id,
    busyRun: busyRun.id,
    endedRun: endedRun.id,
    foreignAgent: foreignAgent.id,
    foreignSchedule: foreignSchedule.id,
    foreignRun: foreignRun.id,
  };
}

/** A message says what is wrong with its field: of a cron expression, which field of the expression it is. */
const SAYS_WHAT =
  /^(must|is|has|never|leaves|cannot|command|restricts|an interval|the expression|@\w+|(minute|hour|day-of-month|month|day-of-week|year) )/;

/** What every problem must be, whatever its cause. */
export function expectProblem(answer: Answer, code: ErrorCode, path: string): void {
  expect(answer.body?.code, answer.text).toBe(code);
  const { status } = ERROR_CODES[code];
  const retryable = isRetryable(code);
  const title = TITLES[code];
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(answer.headers.get('cache-control')).toBe('no-store');
  expect(answer.body).toMatchObject({ type: `urn:candor:problem:${code}`, title, status, retryable });
  expect(answer.body.detail).toMatch(/\S/);
  expect(answer.body.remedy).toMatch(/\S/);
  expect(answer.body.requestId).toBe(answer.headers.get('x-request-id'));
  expect(answer.body.instance).toBe(path.split('?')[0]);
  expect(answer.text).not.toMatch(/node_modules|\/work\/|\.ts\b|\bat \w+ \(|ValidationException|dynamodb/i);
  for (const { message } of answer.body.errors ?? []) {
    expect(message).toMatch(SAYS_WHAT);
    expect(message).not.toMatch(/Invalid (input|option|key)|expected|received|Unrecognized|Too (big|small)/);
  }
}

export interface Row {
  readonly title: string;
  readonly method: string;
  readonly path: (at: Standing) => string;
  readonly options?: SendOptions;
  readonly code: ErrorCode;
  readonly pointer?: string;
  readonly message?: RegExp;
  readonly more?: (answer: Answer, at: Standing) => void;
}

/** One test per row. World and standing are asked for when the test runs, for they are made before all tests. */
export function testRefusals(
  rows: readonly Row[],
  before: () => { readonly world: HttpWorld; readonly at: Standing },
): void {
  test.each(rows)('$title', async ({ method, path, options, code, pointer, message, more }) => {
    const { world, at } = before();
    const where = path(at);
    const answer = await world.send(method, where, options);
    expectProblem(answer, code, decodeURI(where));
    if (pointer !== undefined) {
      const error = answer.body.errors.find((each: { pointer: string }) => each.pointer === pointer);
      expect(error, answer.text).toBeDefined();
      expect(error.message).toMatch(message ?? /./);
    }
    more?.(answer, at);
  });
}
