/**
 * Every operation × every role × (own, foreign agent, foreign tenant, no credential, and credentials of every wrong kind)
 * against a running `candor dev` that trusts an identity provider on loopback: the answer is what the table says.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { ROUTES } from '../../adapters/http/app.ts';
import { OF_THE_TENANT, OPERATIONS } from '../../core/access/operations.ts';
import { ROLES, type Role } from '../../core/contract/roles.ts';
import { startIssuer } from '../support/issuer.ts';
import { Machine, until } from './support.ts';

interface Things {
  readonly [parameter: string]: string;
}

/** Valid bodies, so that what refuses is who may, not what was sent. */
const BODIES: Readonly<Record<string, object>> = {
  createAgent: { name: 'another', command: ['true'] },
  updateAgent: { metadata: { a: 'b' } },
  previewCadence: { cadence: { every: '1h' } },
  createSchedule: { name: 'another', cadence: { every: '1h' }, paused: true },
  updateSchedule: { metadata: { a: 'b' } },
  skipOccurrence: { occurrence: '2099-01-01T00:00:00Z' },
  unskipOccurrence: { occurrence: '2099-01-01T00:00:00Z' },
  startBackfill: { from: '2026-01-01T00:00:00Z', to: '2026-01-01T02:00:00Z' },
  createWebhook: { url: 'https://hooks.invalid/candor' },
  updateWebhook: { description: 'another' },
  createPrincipal: { name: 'another' },
  updatePrincipal: { name: 'renamed' },
  createKey: { name: 'another' },
};
const QUERIES: Readonly<Record<string, string>> = {
  getArtifact: '?path=a',
  explainSchedule: '?at=2026-01-01T00:00:00Z',
};

/** A version that nothing has: whoever may change a thing is told so by 412, and changes nothing. */
const STALE = { 'if-match': '"999999"' };

/** What a run's token is for: its own run, and runs of agents that its starter may start. */
const RUN_OPERATIONS: ReadonlySet<string> = new Set(
  ROUTES.filter(({ access }) => access === 'own_run' || access === 'starter').map(({ operation }) => operation),
);

class World {
  readonly machine: Machine;
  admin = '';
  constructor(machine: Machine) {
    this.machine = machine;
  }

  async send(method: string, path: string, token: string | undefined, body?: object, headers: object = {}) {
    const response = await fetch(`${this.machine.endpoint.url}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        ...headers,
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, text };
  }

  async make<T = { readonly id: string }>(token: string, path: string, body: object): Promise<T> {
    const { status, text } = await this.send('POST', path, token, body);
    expect(status, text).toBeLessThan(300);
    return JSON.parse(text) as T;
  }

  /** A run that stays at work, started with this credential, and its own token. */
  async atWork(token: string, agentId: string) {
    const file = path.join(this.machine.dataDir, `token-${Math.random()}`);
    const script = `require('fs').writeFileSync(${JSON.stringify(file)}, process.env.CANDOR_RUN_TOKEN); setTimeout(() => {}, 600000)`;
    const agent = `/v1/agents/${agentId}`;
    const command = ['node', '-e', script];
    await this.send('PATCH', agent, this.admin, { command }, { 'if-match': '*' });
    const run = await this.make(token, `${agent}/runs`, {});
    const text = await until('the run’s token', () => (existsSync(file) && readFileSync(file, 'utf8')) || undefined);
    await this.send('PATCH', agent, this.admin, { command: ['true'] }, { 'if-match': '*' });
    return { runId: run.id, token: text };
  }

  /** One of each kind, all of them of one agent. */
  async things(token: string): Promise<Things> {
    const agent = await this.make(token, '/v1/agents', { name: `agent ${Math.random()}`, command: ['true'] });
    const schedule = await this.make(token, `/v1/agents/${agent.id}/schedules`, {
      name: 'often',
      cadence: { every: '1h', startAt: '2026-01-01T00:00:00Z' },
      paused: true,
    });
    const run = await this.make(token, `/v1/agents/${agent.id}/runs`, {});
    const { vmId = '' } = await this.machine.ended(run, token);
    const account = await this.make(token, '/v1/principals', { name: 'account' });
    const key = await this.make(token, `/v1/principals/${account.id}/keys`, { name: 'key' });
    const hook = await this.make(token, '/v1/webhooks', { url: 'https://hooks.invalid/candor' });
    const delivery = await this.make(token, `/v1/webhooks/${hook.id}/test`, {});
    const backfillId = `bkf_${'0'.repeat(26)}`;
    return {
      agentId: agent.id,
      scheduleId: schedule.id,
      runId: run.id,
      vmId,
      principalId: account.id,
      keyId: key.id,
      backfillId,
      webhookId: hook.id,
      deliveryId: delivery.id,
    };
  }
}

const fill = (path: string, things: Things) =>
  path.replaceAll(/:(\w+)/g, (_whole, name: string) => {
    const value = things[name];
    if (value === undefined) throw new Error(`say in this test what :${name} is`);
    return value;
  });

it('the answer is what the table says', { timeout: 600_000 }, async () => {
  const issuer = await startIssuer();
  const machine = new Machine();
  const oidc = { issuer: issuer.url, audience: issuer.audience, tenantClaim: 'org', roleClaim: 'role' };
  await machine.start({ environment: { CANDOR_OIDC: JSON.stringify(oidc) } });
  const world = new World(machine);
  const user = (org: string, sub: string, role?: Role) => issuer.token({ org, sub, ...(role && { role }) });

  const admin = await user('acme', 'admin', 'admin');
  world.admin = admin;
  const [mine, other] = [await world.things(admin), await world.things(admin)];
  const outsider = await user('elsewhere', 'admin', 'admin');
  const account = await world.make(admin, '/v1/principals', { name: 'everything', role: 'admin' });
  const key = (body: object) =>
    world.make<{ readonly id: string; readonly key: string }>(admin, `/v1/principals/${account.id}/keys`, {
      name: 'k',
      ...body,
    });
  const revoked = await key({});
  await world.send('DELETE', `/v1/principals/${account.id}/keys/${revoked.id}`, admin);
  const dismissed = await world.make(admin, '/v1/principals', { name: 'dismissed', role: 'admin' });
  const ofDismissed = await world.make<{ readonly key: string }>(admin, `/v1/principals/${dismissed.id}/keys`, {
    name: 'k',
  });
  await world.send('PATCH', `/v1/principals/${dismissed.id}`, admin, { status: 'revoked' }, { 'if-match': '*' });
  const claims = { org: 'acme', sub: 'admin', role: 'admin' };
  const wrong: Readonly<Record<string, string | undefined>> = {
    none: undefined,
    expired: await issuer.token(claims, { expiresIn: -60 }),
    'wrong audience': await issuer.token(claims, { audience: 'another' }),
    'wrong issuer': await issuer.token(claims, { issuer: 'https://evil.example' }),
    'foreign key': await issuer.token(claims, { foreignKey: true }),
    'alg none': issuer.unsigned(claims),
    'key confusion': await issuer.confused(claims),
    'no tenant': await issuer.token({ sub: 'admin', role: 'admin' }),
    'revoked key': revoked.key,
    'revoked principal': ofDismissed.key,
    garbage: 'garbage',
  };
  const byRole = Object.fromEntries(
    await Promise.all(ROLES.map(async (role) => [role, await user('acme', `a ${role}`, role)] as const)),
  ) as Record<Role, string>;
  const nobody = await user('acme', 'nobody');
  const demoted = await user('acme', 'demoted');
  expect((await world.send('GET', '/v1/agents', await user('acme', 'demoted', 'admin'))).status).toBe(200);
  const ofAgent = Object.fromEntries(
    await Promise.all(ROLES.map(async (role) => [role, (await key({ role, agents: [mine.agentId!] })).key] as const)),
  ) as Record<Role, string>;

  const child = await world.atWork(ofAgent.operator, mine.agentId!);

  const wrongAnswers: string[] = [];
  let asked = 0;
  for (const { operation, method, path, ifMatch } of ROUTES.filter((each) => each.path.startsWith('/v1/'))) {
    const needs = OPERATIONS[operation];
    if (needs === 'public' || needs === 'runner') continue;
    const ask = async (
      who: string,
      token: string | undefined,
      things: Things,
      isRight: (status: number) => boolean,
    ) => {
      const { status } = await world.send(
        method,
        fill(path, things) + (QUERIES[operation] ?? ''),
        token,
        BODIES[operation],
        ifMatch === undefined ? {} : STALE,
      );
      asked++;
      if (!isRight(status)) wrongAnswers.push(`${operation} by ${who}: ${status}`);
    };
    const isOpen = (status: number) => ![401, 403].includes(status) && status < 500;
    const is = (wanted: number) => (status: number) => status === wanted;
    const enough = (role: Role) => ROLES.indexOf(role) >= ROLES.indexOf(needs);
    const namesThing = path.includes(':');

    for (const [kind, token] of Object.entries(wrong)) await ask(kind, token, mine, is(401));
    await ask('a user without a role', nobody, mine, is(403));
    await ask('a user whose role the provider has taken away', demoted, mine, is(403));
    const ofRuns = RUN_OPERATIONS.has(operation);
    await ask('a run, its own', child.token, { ...mine, runId: child.runId }, ofRuns ? isOpen : is(403));
    if (ofRuns) await ask('a run, another’s', child.token, other, is(404));
    for (const role of ROLES) {
      await ask(role, byRole[role], mine, enough(role) ? isOpen : is(403));
      const open = enough(role) && !OF_THE_TENANT.has(operation);
      await ask(`${role} of one agent, its own`, ofAgent[role], mine, open ? isOpen : is(403));
      if (namesThing && !OF_THE_TENANT.has(operation))
        await ask(`${role} of one agent, another’s`, ofAgent[role], other, is(enough(role) ? 404 : 403));
    }
    if (namesThing) await ask('an administrator of another tenant', outsider, mine, is(404));
  }
  expect(wrongAnswers).toEqual([]);
  expect(asked).toBeGreaterThan(1000);
  process.stdout.write(`authorization: ${asked} answers, each as the table says\n`);
  await issuer.stop();
});
