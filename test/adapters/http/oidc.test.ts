/** Users of an OpenID Connect provider: whose tokens open, whose do not, and what the provider's silence means. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type OidcConfig, oidcUsers } from '../../../adapters/http/oidc.ts';
import { type Issuer, startIssuer } from '../../support/issuer.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';

let engine: TestEngine;
let world: World;
let issuer: Issuer;
beforeAll(async () => {
  engine = await testEngine();
  issuer = await startIssuer();
  world = await engine.world();
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
  expect(await as('emperor')).toMatchObject({ grants: { role: 'viewer' } });
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
