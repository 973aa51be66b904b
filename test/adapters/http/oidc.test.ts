/** Users of an OpenID Connect provider: whose tokens open, whose do not, and what the provider's silence means. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createApp } from '../../../adapters/http/app.ts';
import { type OidcConfig, oidcUsers } from '../../../adapters/http/oidc.ts';
import type { Grants } from '../../../core/access/grants.ts';
import { patchPrincipal } from '../../../core/access/service.ts';
import type { AuditLogEntryBody } from '../../../core/contract/auditLog.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { type Issuer, startIssuer } from '../../support/issuer.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';

let engine: TestEngine;
let world: World;
let issuer: Issuer;
beforeAll(async () => {
  engine = await testEngine();
  issuer = await startIssuer();
  world = await engine.world();
});
// The provider's clock is the machine's.
beforeEach(() => {
  world.now = Date.now();
});
afterAll(async () => {
  await engine.stop();
  await issuer.stop();
});

const config = (more: Partial<OidcConfig> = {}): OidcConfig => ({
  issuer: issuer.url,
  audience: issuer.audience,
  ...more,
});
const users = (more: Partial<OidcConfig> = {}) => oidcUsers(world.ports, config(more), 'acme');

it('a user is known from the first call on, with no role until somebody gives one', async () => {
  const token = await issuer.token({ sub: 'ann', name: 'Ann' });
  const found = await users()(token);
  expect(found).toMatchObject({ kind: 'principal', tenantId: 'acme', grants: {} });
  expect(await users()(token)).toEqual(found);
  expect(await users({ defaultRole: 'viewer' })(await issuer.token({ sub: 'bob' }))).toMatchObject({
    grants: { role: 'viewer' },
  });
});

it('two first calls at once make one user', async () => {
  const token = await issuer.token({ sub: 'at-once' });
  const all = await Promise.all(Array.from({ length: 8 }, () => users()(token)));
  expect(new Set(all.map((each) => JSON.stringify(each))).size).toBe(1);
});

it('the tenant is the claim’s where one is configured, and a token without it opens nothing', async () => {
  const inTenant = users({ tenantClaim: 'org' });
  const one = await inTenant(await issuer.token({ sub: 'cid', org: 'red' }));
  const other = await inTenant(await issuer.token({ sub: 'cid', org: 'blue' }));
  expect([one, other]).toMatchObject([{ tenantId: 'red' }, { tenantId: 'blue' }]);
  expect(one).not.toMatchObject({ principalId: (other as { principalId: string }).principalId });
  for (const org of [undefined, '', 7, 'a#b', '../x'])
    expect(await inTenant(await issuer.token({ sub: 'cid', org }))).toBeUndefined();
});

it('the role is the claim’s where one is configured: a change of it counts from the next call on', async () => {
  const withRole = users({ roleClaim: 'candor' });
  const as = async (candor: unknown) => withRole(await issuer.token({ sub: 'dan', candor }));
  expect(await as('editor')).toMatchObject({ grants: { role: 'editor' } });
  expect(await as('viewer')).toMatchObject({ grants: { role: 'viewer' } });
  expect(await as(['everybody', 'viewer', 'operator'])).toMatchObject({ grants: { role: 'operator' } });
});

const grantsBy = async (more: Partial<OidcConfig>, sub: string, claims: object, issuedAt = 0) =>
  ((await users(more)(await issuer.token({ sub, ...claims }, { issuedAt }))) as { readonly grants: Grants }).grants;

it.each([[undefined], ['none'], ['emperor'], [['emperor', 7]], [{ admin: true }], [[]]])(
  'a role that the provider gave goes when it says %j',
  async (candor) => {
    const sub = `hal ${JSON.stringify(candor)}`;
    expect(await grantsBy({ roleClaim: 'candor' }, sub, { candor: 'admin' })).toEqual({ role: 'admin' });
    expect(await grantsBy({ roleClaim: 'candor' }, sub, { candor })).toEqual({});
    expect(await grantsBy({ roleClaim: 'candor' }, sub, { candor: 'admin' })).toEqual({ role: 'admin' });
    expect(await grantsBy({ roleClaim: 'candor', defaultRole: 'viewer' }, sub, { candor })).toEqual({ role: 'viewer' });
  },
);

it('an older token of the same user does not bring it back', async () => {
  const config = { roleClaim: 'candor' };
  await grantsBy(config, 'ida', { candor: 'admin' }, -60);
  expect(await grantsBy(config, 'ida', {}, -10)).toEqual({});
  expect(await grantsBy(config, 'ida', { candor: 'admin' }, -60)).toEqual({});
  expect(await grantsBy(config, 'ida', { candor: 'editor' }, -5)).toEqual({ role: 'editor' });
});

it('a role that an administrator gave stays where the provider gives none', async () => {
  const config = { roleClaim: 'candor' };
  const token = await issuer.token({ sub: 'jon', candor: 'viewer' });
  const { principalId, tenantId } = (await users(config)(token)) as { principalId: string; tenantId: string };
  const admin = { tenantId, principalId: 'usr_admin' };
  await patchPrincipal(world.ports, admin, principalId, { role: 'operator' }, { kind: 'any' });
  expect(await grantsBy(config, 'jon', {})).toEqual({ role: 'operator' });
  expect(await grantsBy(config, 'jon', { candor: 'viewer' })).toEqual({ role: 'viewer' });
});

it('the log of changes has who appeared, and every role that the provider gave or took', async () => {
  const config = { roleClaim: 'candor' };
  const authenticate = users(config);
  const app = createApp({ ports: world.ports, authenticate, rates: { take: async () => undefined } });
  const sent = async (claims: object, path = '/v1/me', options: RequestInit = {}) => {
    world.now += 1000;
    const authorization = `Bearer ${await issuer.token({ sub: 'lou', ...claims })}`;
    return app.request(path, { ...options, headers: { authorization, 'user-agent': 'a test' } });
  };
  const first = await sent({ candor: 'admin' }, '/v1/webhooks/whk_00000000000000000000000000/test', { method: 'POST' });
  expect(first.status).toBe(404);
  await sent({ candor: 'admin' });
  await sent({});
  await sent({ candor: 'admin' });
  const answer = await sent({ candor: 'admin' }, '/v1/audit-log?operation=enrol');
  const { items } = (await answer.json()) as { readonly items: readonly AuditLogEntryBody[] };
  const { principalId: id } = (await authenticate(await issuer.token({ sub: 'lou', candor: 'admin' }))) as {
    principalId: string;
  };
  const by = { kind: 'principal', id };
  const from = { userAgent: 'a test' };
  expect(items.toReversed().filter((entry) => entry.by.id === id)).toMatchObject([
    { by, from, requestId: first.headers.get('x-request-id'), changes: [{ id, after: 1, role: 'admin' }] },
    { by, from, changes: [{ id, before: 1, after: 2, role: null }] },
    { by, from, changes: [{ id, before: 2, after: 3, role: 'admin' }] },
  ]);
});

it('a change by who has just appeared has an entry of its own', async () => {
  const app = createApp({
    ports: world.ports,
    authenticate: users({ defaultRole: 'admin' }),
    rates: { take: async () => undefined },
  });
  const headers = { authorization: `Bearer ${await issuer.token({ sub: 'mia' })}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ name: 'of Mia', command: ['true'] });
  const made = await app.request('/v1/agents', { method: 'POST', headers, body });
  expect(made.status).toBe(201);
  const answer = await app.request('/v1/audit-log?limit=100', { headers });
  const { items } = (await answer.json()) as { readonly items: readonly AuditLogEntryBody[] };
  const own = items.filter(({ requestId }) => requestId === made.headers.get('x-request-id'));
  expect(own.map(({ operation }) => operation).sort()).toEqual(['createAgent', 'enrol']);
});

it('a role of before it was noted who gave it is the provider’s from the next token on that names it', async () => {
  const config = { roleClaim: 'candor' };
  const { principalId } = (await users(config)(await issuer.token({ sub: 'kim', candor: 'admin' }))) as {
    principalId: string;
  };
  const set = { roleFrom: undefined, roleSaidAt: undefined };
  await world.ports.store.transact([{ kind: 'update', key: keys.principal(principalId), set, guards: [] }]);
  expect(await grantsBy(config, 'kim', { candor: 'admin' })).toEqual({ role: 'admin' });
  expect(await grantsBy(config, 'kim', {})).toEqual({});
});

it.each<[string, () => string | Promise<string>]>([
  ['expired', () => issuer.token({ sub: 'eve' }, { expiresIn: -60 })],
  ['not valid yet', () => issuer.token({ sub: 'eve' }, { notBefore: 60 })],
  ['for another audience', () => issuer.token({ sub: 'eve' }, { audience: 'somebody-else' })],
  ['of another issuer', () => issuer.token({ sub: 'eve' }, { issuer: 'https://evil.example' })],
  ['signed with a key that is not published', () => issuer.token({ sub: 'eve' }, { foreignKey: true })],
  ['not signed (alg none)', () => issuer.unsigned({ sub: 'eve' })],
  ['signed with the public key as a secret (key confusion)', () => issuer.confused({ sub: 'eve' })],
  ['of nobody', () => issuer.token({})],
  ['of too long a subject', () => issuer.token({ sub: 'e'.repeat(256) })],
  ['cut off', async () => (await issuer.token({ sub: 'eve' })).slice(0, -4)],
  ['no token at all', () => 'eve'],
])('a token that is %s opens nothing', async (_what, make) => {
  expect(await users()(await make())).toBeUndefined();
});

it('a new key of the provider is found by those who know the old one, after a cooldown, and the old one stays good', async () => {
  const cooling = users();
  const cooled = oidcUsers(world.ports, config(), 'acme', { keysCooldownMs: 0 });
  const old = await issuer.token({ sub: 'fay' });
  const known = await cooled(old);
  expect(known).toBeDefined();
  expect(await cooling(old)).toEqual(known);
  await issuer.rotate();
  const fresh = await issuer.token({ sub: 'fay' });
  const before = issuer.keyRequests();
  // Within half a minute of the last time nobody makes it ask the provider again.
  for (let times = 0; times < 3; times++) expect(await cooling(fresh)).toBeUndefined();
  expect(issuer.keyRequests()).toBe(before);
  for (let times = 0; times < 3; times++) expect(await cooled(fresh)).toEqual(known);
  expect(await cooled(old)).toEqual(known);
  expect(issuer.keyRequests()).toBe(before + 1);
});

it('a provider that does not answer says nothing of a token: try again, and it recovers', async () => {
  const authenticate = users();
  issuer.fail(true);
  await expect(authenticate(await issuer.token({ sub: 'gus' }))).rejects.toMatchObject({ code: 'try_again' });
  issuer.fail(false);
  expect(await authenticate(await issuer.token({ sub: 'gus' }))).toBeDefined();
});

it('tokens of others are not looked up at the provider', async () => {
  const before = issuer.keyRequests();
  expect(await users()('candor_x')).toBeUndefined();
  expect(await users()(await issuer.token({ sub: 'eve' }, { issuer: 'https://evil.example' }))).toBeUndefined();
  expect(issuer.keyRequests()).toBe(before);
});
