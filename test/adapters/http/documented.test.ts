/** Whether what holds answers to the document would notice one that is not as documented. */
import { expect, it } from 'vitest';
import { EXAMPLES } from '../../../adapters/http/examples.ts';
import { answerFaults } from '../../support/documented.ts';

const WITHOUT_ETAG = { 'content-type': 'application/json', 'x-request-id': 'r' };
const HEADERS = { ...WITHOUT_ETAG, etag: '"1"' };
const agent = EXAMPLES.getAgent?.answers?.[200] as Readonly<Record<string, unknown>>;
const path = `/v1/agents/${agent.id}`;
const faults = (body: unknown, status = 200, headers: Readonly<Record<string, string>> = HEADERS) =>
  answerFaults('GET', path, new Response(JSON.stringify(body), { status, headers }));

it('an answer as documented has no fault', async () => {
  expect(await faults(agent)).toEqual([]);
});

it.each<[string, () => Promise<readonly string[]>, RegExp]>([
  ['a field that is not documented', () => faults({ ...agent, extra: 1 }), /additional properties.*extra/],
  ['a field that is missing', () => faults({ ...agent, name: undefined }), /name/],
  ['a field of another type', () => faults({ ...agent, version: '1' }), /version must be integer/],
  ['a status that is not documented', () => faults(agent, 201), /status 201 is not documented/],
  ['a header that is missing', () => faults(agent, 200, WITHOUT_ETAG), /header ETag is missing/],
  [
    'a header that is not documented',
    () => faults(agent, 200, { ...HEADERS, location: '/x' }),
    /Location is not documented/,
  ],
  [
    'another media type',
    () => faults(agent, 200, { ...HEADERS, 'content-type': 'text/plain' }),
    /media type text\/plain/,
  ],
  ['an error of another operation', () => problem('overlap', 409), /status 409 is not documented/],
  ['an error with the wrong status', () => problem('not_found', 422), /must be equal to one of the allowed values/],
  ['an error with an unknown fact', () => problem('not_found', 404, { fact: 1 }), /additional properties.*fact/],
])('%s is found', async (_, found, says) => {
  expect((await found()).join('\n')).toMatch(says);
});

function problem(code: string, status: number, more: object = {}): Promise<readonly string[]> {
  const body = { ...(EXAMPLES.problems?.not_found as object), code, status, ...more };
  return faults(body, status, { ...WITHOUT_ETAG, 'content-type': 'application/problem+json' });
}
