/** An account, its key and what becomes of it, with the command against a real `candor dev`. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KeyBody, MeBody, PrincipalBody } from '../../core/contract/access.ts';
import type { ListBody } from '../../core/contract/common.ts';
import { candor } from '../cli/candor.ts';
import { Machine } from './support.ts';

describe('an administrator', { timeout: 120_000 }, () => {
  const machine = new Machine('file');
  beforeAll(() => machine.start({ args: ['--fleet', 'none'] }));
  afterAll(() => machine.killDev());

  const as = (token: string, ...args: readonly string[]) =>
    candor(args, { env: { CANDOR_URL: machine.endpoint.url, CANDOR_TOKEN: token } });
  const admin = (...args: readonly string[]) => as(machine.endpoint.token, ...args);
  async function done<T>(answer: ReturnType<typeof candor>): Promise<T> {
    const { code, stdout, stderr } = await answer;
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout) as T;
  }

  it('lets an account in by its key, changes what it may, replaces the key and takes it away', async () => {
    const agent = await machine.agent(['/bin/true'], { name: 'report' });
    const made = await done<PrincipalBody>(admin('principals', 'create', '--name', 'ci', '--role', 'viewer', '--json'));
    const created = await admin('keys', 'create', 'ci', '--name', 'builds', '--expires-in', '30d');
    const key = created.stdout.trim();
    expect(key).toMatch(/^candor_\S+$/);
    expect(created.stderr).not.toContain(key);

    const me = await done<MeBody>(as(key, 'me', '--json'));
    expect(me).toMatchObject({ principalId: made.id, kind: 'service_account', role: 'viewer' });
    const run = ['runs', 'create', '--agent', 'report', '--json'];
    expect((await as(key, ...run)).stderr).toContain('"status":403');
    await done(admin('principals', 'update', 'ci', '--agent-role', 'report=operator', '--json'));
    expect(await done<MeBody>(as(key, 'me', '--json'))).toMatchObject({ agents: { [agent.id]: 'operator' } });
    await done(as(key, ...run));

    const keyId = me.credentialId ?? '';
    const next = (await admin('keys', 'rotate', 'ci', keyId, '--overlap', '1h')).stdout.trim();
    for (const each of [key, next]) await done(as(each, 'me', '--json'));
    expect((await admin('keys', 'revoke', 'ci', keyId)).code).toBe(0);
    expect((await as(key, 'me', '--json')).stderr).toContain('"status":401');
    const { items } = await done<ListBody<KeyBody>>(admin('keys', 'list', 'ci', '--json'));
    expect(items.map(({ status }) => status).sort()).toEqual(['active', 'revoked']);
    expect(JSON.stringify(items)).not.toContain(key.split('_').at(-1));

    await done(admin('principals', 'revoke', 'ci', '--json'));
    expect((await as(next, 'me', '--json')).stderr).toContain('"status":401');
    await done(admin('principals', 'restore', 'ci', '--json'));
    await done(as(next, 'me', '--json'));
  });

  it('cannot take the role from itself', async () => {
    const { code, stderr } = await admin('principals', 'update', 'usr_admin', '--role', 'viewer');
    expect(code).not.toBe(0);
    expect(stderr).toContain('illegal_transition');
  });
});
