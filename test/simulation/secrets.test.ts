import { expect, it } from 'vitest';
import type { Commit } from './invariants.ts';
import { SecretRules } from './secretRules.ts';
import { MARK, NO_SECRETS, SecretStore } from './secretStore.ts';
import type { Simulation } from './world.ts';

const AGENT = { env: { PASSWORD: { secret: 'password' }, PLAIN: 'text' } };
const START = { kind: 'start', number: 1, runId: 'run', attempt: 1, command: ['work'], env: {}, mask: [] as string[] };

/** A world in which one run's agent names one secret. */
function worldWith({ absent }: { readonly absent: number }) {
  const broken: string[] = [];
  const world = {
    startAt: 0,
    time: { now: 1000 },
    weather: { secrets: { ...NO_SECRETS, hasKeys: true, absent } },
    checker: { runs: { rows: new Map([['run', { id: 'run', tenantId: 'ten', agentId: 'agent', agentVersion: 1 }]]) } },
    table: { get: () => AGENT },
    broken: (_: string, what: string) => broken.push(what),
  };
  const secrets = new SecretStore(world as unknown as Simulation, 1);
  const rules = new SecretRules({ ...world, secrets } as unknown as Simulation);
  const told = (more: object) => rules.told('vm', { ...START, ...more } as unknown as Parameters<typeof rules.told>[1]);
  return { broken, secrets, rules, told };
}

it('a start without the secret that its agent names is found, and one that would show it', () => {
  const { broken, secrets, told } = worldWith({ absent: 0 });
  const value = secrets.read('ten', 'password') ?? '';
  expect(value).toContain(MARK);
  told({ env: { PASSWORD: value }, mask: [value] });
  expect(broken).toEqual([]);
  told({ env: {} });
  told({ env: { PASSWORD: '' }, mask: [''] });
  told({ env: { PASSWORD: value } });
  told({ impossible: 'The secret password does not exist, or may not be read.' });
  expect(broken).toEqual([
    expect.stringContaining('without its secret'),
    expect.stringContaining('without its secret'),
    expect.stringContaining('not blanked out'),
    expect.stringContaining('always been there'),
  ]);
});

it('what is missing may be called so', () => {
  const { broken, secrets, told } = worldWith({ absent: 1 });
  expect(secrets.read('ten', 'password')).toBeUndefined();
  told({ impossible: 'The secret password does not exist, or may not be read.' });
  expect(broken).toEqual([]);
});

it('a secret in a row or in the log is found', () => {
  const { broken, rules } = worldWith({ absent: 0 });
  const change = { key: { pk: 'RUN#run', sk: 'META' }, after: { detail: `it said ${MARK} 1` } };
  rules.committed({ inc: { kind: 'heartbeat' }, changes: [change] } as unknown as Commit);
  rules.logged('heartbeat', 'run.started', { env: { PASSWORD: MARK } });
  expect(broken).toEqual(['heartbeat writes a secret into RUN#run META', 'heartbeat logs a secret: run.started']);
});
