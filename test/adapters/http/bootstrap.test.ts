import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bootstrapAuthenticate } from '../../../adapters/http/bootstrap.ts';
import { createKey } from '../../../core/access/keys.ts';
import { BOOTSTRAP_TENANT, LOCAL_ADMIN } from '../../../core/access/principals.ts';
import { createPrincipal } from '../../../core/access/service.ts';
import type { TokenClaims } from '../../../core/ports.ts';
import * as keys from '../../../core/table/itemKeys.ts';
import { type TestEngine, testEngine, type World } from '../../support/world.ts';

const TOKEN = 'a-token-that-the-stack-has-generated';
const ADMIN = {
  kind: 'principal',
  tenantId: BOOTSTRAP_TENANT,
  principalId: LOCAL_ADMIN,
  credentialId: 'admin_token',
  grants: { role: 'admin' },
};

let engine: TestEngine;
let world: World;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());
beforeEach(async () => {
  world = await engine.world();
});

/** Tokens that say what they are: their form is another test's. */
const ports = () => ({
  ...world.ports,
  tokens: {
    sign: async () => '',
    verify: async (token: string) => (token.startsWith('{') ? (JSON.parse(token) as TokenClaims) : undefined),
  },
});

describe('the credentials of an installation without identity providers', () => {
  it('are the token of its stack, for its one administrator; nothing else opens', async () => {
    const authenticate = bootstrapAuthenticate(ports(), async () => TOKEN);
    expect(await authenticate(TOKEN)).toEqual(ADMIN);
    for (const bearer of ['', 'x', `${TOKEN}x`, TOKEN.slice(1), TOKEN.toUpperCase()])
      expect(await authenticate(bearer)).toBeUndefined();
  });

  it('make the administrator a principal, as whom schedules fire, once', async () => {
    expect(await world.ports.store.get(keys.principal(LOCAL_ADMIN))).toMatchObject({ tenantId: 'local' });
    const fresh = await engine.world();
    await fresh.ports.store.transact([{ kind: 'delete', key: keys.principal(LOCAL_ADMIN), guards: [] }]);
    const authenticate = bootstrapAuthenticate({ ...ports(), store: fresh.ports.store }, async () => TOKEN);
    await authenticate('wrong');
    expect(await fresh.ports.store.get(keys.principal(LOCAL_ADMIN))).toBeUndefined();
    await Promise.all([authenticate(TOKEN), authenticate(TOKEN)]);
    expect(await fresh.ports.store.get(keys.principal(LOCAL_ADMIN))).toMatchObject({
      tenantId: BOOTSTRAP_TENANT,
      status: 'active',
    });
  });

  it('follow a token that was rotated', async () => {
    let token = TOKEN;
    const authenticate = bootstrapAuthenticate(ports(), async () => token);
    token = `${TOKEN}-rotated`;
    expect(await authenticate(TOKEN)).toBeUndefined();
    expect(await authenticate(token)).toEqual(ADMIN);
  });

  it('open to nobody where there is no such token, or one that could be guessed', async () => {
    expect(await bootstrapAuthenticate(ports(), undefined)('')).toBeUndefined();
    for (const token of ['', 'short'])
      expect(await bootstrapAuthenticate(ports(), async () => token)(token)).toBeUndefined();
  });

  it('are to be shown again later where the token cannot be read', async () => {
    const authenticate = bootstrapAuthenticate(ports(), () => Promise.reject(new Error('throttled')));
    await expect(authenticate(TOKEN)).rejects.toMatchObject({ code: 'try_again' });
  });

  it('open where they can be told, whichever of the others cannot be asked', async () => {
    const broken = () => Promise.reject(new Error('throttled'));
    const run = { kind: 'run', tenantId: 't', vmId: 'vm', runId: 'run', attempt: 1 } as const;
    const { id } = await createPrincipal(world.ports, world.caller, { name: 'ci', role: 'viewer' });
    const asked = { name: 'k', expiresIn: 3600 };
    const { key } = await createKey(world.ports, world.caller, id, asked, { kind: 'none' });
    const users = async (bearer: string) =>
      bearer === 'a user' ? { ...ADMIN, kind: 'principal' as const, grants: {} } : undefined;
    const withoutAdmin = bootstrapAuthenticate(ports(), broken, users);
    expect(await withoutAdmin(key)).toMatchObject({ principalId: id });
    expect(await withoutAdmin(JSON.stringify(run))).toEqual(run);
    expect(await withoutAdmin('a user')).toMatchObject({ kind: 'principal' });
    await expect(withoutAdmin('unknown')).rejects.toMatchObject({ code: 'try_again' });
    const tokens = { ...ports().tokens, verify: broken };
    const withoutTokens = bootstrapAuthenticate({ ...ports(), tokens }, async () => TOKEN, users);
    expect(await withoutTokens(TOKEN)).toEqual(ADMIN);
    expect(await withoutTokens(key)).toMatchObject({ principalId: id });
    await expect(withoutTokens('unknown')).rejects.toThrow('throttled');
  });

  it('are a run’s token too, and never a VM’s', async () => {
    const authenticate = bootstrapAuthenticate(ports(), async () => TOKEN);
    const run = { kind: 'run', tenantId: 't', vmId: 'vm', runId: 'run', attempt: 1 };
    expect(await authenticate(JSON.stringify(run))).toEqual(run);
    const vm = { kind: 'vm', tenantId: 't', vmId: 'vm', generation: 1 };
    expect(await authenticate(JSON.stringify(vm))).toBeUndefined();
  });
});
