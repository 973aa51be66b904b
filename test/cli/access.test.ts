/** `candor me`, `candor principals …` and `candor keys …`: what is sent to the API, and what a person is shown. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { KeyBody, MeBody, NewKeyBody, PrincipalBody } from '../../core/contract/access.ts';
import { candor } from './candor.ts';
import { AS_OF, FakeApi, problem, TOKEN } from './fakeApi.ts';

const SECRET = 'candor_1_shown_once';
const account: PrincipalBody = {
  id: 'sac_1',
  kind: 'service_account',
  name: 'ci\u001b[31m',
  status: 'active',
  role: 'viewer',
  agents: { agt_one: 'editor' },
  version: 4,
  createdBy: 'usr_admin',
  createdAt: AS_OF,
  updatedAt: AS_OF,
  asOf: AS_OF,
};
const person: PrincipalBody = {
  id: 'usr_1',
  kind: 'user',
  name: 'Ada',
  status: 'revoked',
  issuer: 'https://login.example.com',
  subject: 'ada',
  version: 2,
  asOf: AS_OF,
};
const key: KeyBody = {
  id: 'key_1',
  principalId: 'sac_1',
  name: 'builds',
  status: 'active',
  role: 'operator',
  agents: ['agt_one'],
  createdBy: 'usr_admin',
  createdAt: AS_OF,
  expiresAt: '2027-02-01T09:00:00.000Z',
  replacedBy: 'key_2',
  asOf: AS_OF,
};
const newKey: NewKeyBody = { ...key, key: SECRET };
const me: MeBody = {
  tenantId: 'default',
  principalId: 'sac_1',
  name: 'ci',
  kind: 'service_account',
  credentialId: 'key_1',
  role: 'admin',
  asOf: AS_OF,
};

let api: FakeApi;
const sent = () =>
  api.asked
    .filter(({ method }) => method !== 'GET')
    .map(({ method, path, body, headers }) => ({
      method,
      path,
      ...(body !== undefined && { body }),
      ...(headers['if-match'] !== undefined && { ifMatch: headers['if-match'] }),
    }));

beforeEach(async () => {
  api = await new FakeApi().listen();
  api.override = ({ method, path }) => {
    if (path === '/v1/me') return { body: me };
    if (path.endsWith('/keys') || path.endsWith('/rotate'))
      return method === 'GET' ? { body: { items: [key], asOf: AS_OF } } : { status: 201, body: newKey };
    if (path.includes('/keys/')) return { status: 204 };
    if (path === '/v1/principals' && method === 'GET') return { body: { items: [account, person], asOf: AS_OF } };
    if (path === '/v1/principals/usr_1') return { body: person };
    return path.startsWith('/v1/principals') ? { body: account } : undefined;
  };
});
afterEach(() => api.close());

const call = (...args: readonly string[]) => candor(args, { env: { CANDOR_URL: api.url, CANDOR_TOKEN: TOKEN } });

test('me says who one is, and as JSON what the API says', async () => {
  const { stdout } = await call('me');
  expect(stdout).toMatch(/kind +service account\ntenant +default\ncredential +key_1\nrole +admin\n$/);
  expect(JSON.parse((await call('me', '--json')).stdout)).toEqual(me);
});

test('principals list and get show the roles, those over single agents too, and no control character of a name', async () => {
  const list = await call('principals', 'list');
  expect(list.stdout).toMatch(/^sac_1 +service account +active +viewer, agt_one: editor +ci\\x1b\[31m$/m);
  expect(list.stdout).toMatch(/^usr_1 +user +revoked +- +Ada$/m);
  const { stdout } = await call('principals', 'get', 'sac_1');
  expect(stdout).toMatch(/role +viewer\n +agt_one: editor\n/);
  expect(`${list.stdout}${stdout}`).not.toContain('\u001b');
});

test('principals create sends what is named, with agents by their names, and says how to make a key', async () => {
  const { code, stdout, stderr } = await call(
    ...['principals', 'create', '--name', 'ci', '--role', 'viewer', '--agent-role', 'report=editor'],
  );
  expect([code, sent()]).toEqual([
    0,
    [{ method: 'POST', path: '/v1/principals', body: { name: 'ci', role: 'viewer', agents: { agt_one: 'editor' } } }],
  ]);
  expect(stdout).toMatch(/^id +sac_1$/m);
  expect(stderr).toContain('candor keys create sac_1');
  const arn = 'arn:aws:iam::111122223333:role/deploy';
  await call('principals', 'create', '--name', 'deploy', '--arn', arn, '--idempotency-key', 'once');
  expect(api.last('POST', '/v1/principals')).toMatchObject({ body: { name: 'deploy', arn } });
  expect(api.last('POST', '/v1/principals').headers['idempotency-key']).toBe('once');
});

test('principals update changes the version that it has read, and leaves roles over other agents alone', async () => {
  api.agents = [...api.agents, { ...api.agents[0]!, id: 'agt_two', name: 'a=b' }];
  const update = ['principals', 'update', 'sac_1', '--role', 'none', '--agent-role', 'a=b=operator'];
  expect((await call(...update)).code).toBe(0);
  await call('principals', 'update', 'sac_1', '--agent-role', 'agt_one=none', '--name', 'c', '--if-match', '"7"');
  const agents = { agt_one: 'editor', agt_two: 'operator' };
  expect(sent()).toEqual([
    { method: 'PATCH', path: '/v1/principals/sac_1', body: { role: null, agents }, ifMatch: '"4"' },
    { method: 'PATCH', path: '/v1/principals/sac_1', body: { name: 'c', agents: {} }, ifMatch: '"7"' },
  ]);
});

test('principals revoke and restore, by a name, set the status', async () => {
  await call('principals', 'revoke', 'Ada');
  await call('principals', 'restore', 'usr_1', '--if-match', '*');
  expect(sent()).toEqual([
    { method: 'PATCH', path: '/v1/principals/usr_1', body: { status: 'revoked' }, ifMatch: '"2"' },
    { method: 'PATCH', path: '/v1/principals/usr_1', body: { status: 'active' }, ifMatch: '*' },
  ]);
});

test('a name that two principals have stands for none of them', async () => {
  const twins = [person, { ...account, name: 'Ada' }];
  api.override = () => ({ body: { items: twins, asOf: AS_OF } });
  const { code, stderr } = await call('principals', 'revoke', 'Ada');
  expect(code).not.toBe(0);
  expect(stderr).toContain('usr_1 (user, revoked), sac_1 (service_account, active)');
  expect(sent()).toEqual([]);
});

test('a principal that has changed meanwhile is told with the version that stands', async () => {
  const read = api.override;
  api.override = (asked) =>
    asked.method === 'PATCH'
      ? problem(412, 'version_conflict', 'The resource has changed meanwhile', 'It is at 9.', { currentVersion: 9 })
      : read(asked);
  const { stderr } = await call('principals', 'update', 'sac_1', '--role', 'admin');
  expect(stderr).toContain('It is at version 9, and the change was for version 4: nothing was changed.');
});

test('a new key is all that stdout holds, and stderr never shows it', async () => {
  const create = await call('keys', 'create', 'sac_1', '--name', 'builds', '--role', 'operator', '--agent', 'report');
  const rotate = await call('keys', 'rotate', 'sac_1', 'key_1', '--overlap', '1h', '--expires-in', '30d');
  for (const { code, stdout, stderr } of [create, rotate]) {
    expect([code, stdout]).toEqual([0, `${SECRET}\n`]);
    expect(stderr).toMatch(/key key_1 of sac_1, until 2027-02-01 09:00:00Z \(in 1d\).*it is not shown again/);
    expect(stderr).not.toContain(SECRET);
  }
  const path = '/v1/principals/sac_1/keys';
  expect(sent()).toEqual([
    { method: 'POST', path, body: { name: 'builds', role: 'operator', agents: ['agt_one'] } },
    { method: 'POST', path: `${path}/key_1/rotate`, body: { overlap: '1h', expiresIn: '30d' } },
  ]);
  const json = await call('keys', 'create', 'sac_1', '--name', 'builds', '--json');
  expect(JSON.parse(json.stdout)).toEqual(newKey);
  expect(json.stderr).not.toContain(SECRET);
});

test('keys list shows what each is cut down to and what took its place; revoke asks for it once', async () => {
  const { stdout } = await call('keys', 'list', 'Ada');
  expect(api.asked.at(-1)?.path).toBe('/v1/principals/usr_1/keys');
  expect(stdout).toMatch(/^key_1 +active +2027-02-01 09:00:00Z \(in 1d\) +- +operator, agt_one +key_2 +builds$/m);
  expect(await call('keys', 'revoke', 'sac_1', 'key_1')).toMatchObject({ code: 0, stdout: '' });
  expect(sent()).toEqual([{ method: 'DELETE', path: '/v1/principals/sac_1/keys/key_1' }]);
});

test.each([
  'principals create --role viewer',
  'principals create --name ci --role owner',
  'principals create --name ci --role none',
  'principals create --name ci --agent-role report',
  'principals create --name ci --agent-role report=none',
  'principals update sac_1',
  'principals update sac_1 --role admin --if-match new',
  'principals delete sac_1',
  'keys create sac_1',
  'keys create sac_1 --name k --expires-in soon',
  'keys rotate sac_1 key_1 --overlap soon',
])('is refused before anything is sent: candor %s', async (line) => {
  const { code, stderr } = await call(...line.split(' '));
  expect(code).toBe(2);
  expect(stderr).not.toBe('');
  expect(sent()).toEqual([]);
});
