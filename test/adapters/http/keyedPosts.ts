/** Every POST that takes an `Idempotency-Key`, each with a request that has an effect. */
import * as keys from '../../../core/table/itemKeys.ts';
import { launchVm } from '../../../core/vms/provision.ts';
import { type HttpWorld, makeAgent, makeSchedule } from '../../support/httpWorld.ts';

export interface KeyedPost {
  readonly operation: string;
  readonly status: number;
  /** What must stand before, and then the request; `other` is another body for the same path. */
  readonly prepare: (world: HttpWorld) => Promise<{ readonly path: string; readonly body?: object }>;
  readonly other?: object;
  /** Its answer says a secret: no repeat gets it. */
  readonly secret?: 'key' | 'secret';
}

const QUARTERS = { cadence: { cron: '*/15 * * * *', timezone: 'UTC' } };
const NEXT = '2027-01-01T00:15:00Z';

async function scheduled(world: HttpWorld, action: string) {
  const agent = await makeAgent(world);
  const schedule = await makeSchedule(world, agent.id, QUARTERS);
  return `/v1/schedules/${schedule.id}/${action}`;
}

async function run(world: HttpWorld): Promise<string> {
  const agent = await makeAgent(world);
  const answer = await world.send('POST', `/v1/agents/${agent.id}/runs`);
  return answer.body.id;
}

const ACCOUNT = { name: 'once', role: 'viewer' };
const WEBHOOK = { url: 'https://hooks.example.com/once', events: ['run.*'] };

async function account(world: HttpWorld): Promise<string> {
  return (await world.send('POST', '/v1/principals', { body: { ...ACCOUNT, name: 'of keys' } })).body.id;
}

async function webhook(world: HttpWorld): Promise<string> {
  return (await world.send('POST', '/v1/webhooks', { body: WEBHOOK })).body.id;
}

const backfill = { from: '2026-12-31T22:00:00Z', to: '2026-12-31T23:00:00Z' };

export const KEYED_POSTS: readonly KeyedPost[] = [
  {
    operation: 'createAgent',
    status: 201,
    prepare: async () => ({ path: '/v1/agents', body: { name: 'once', command: ['/bin/true'] } }),
    other: { name: 'another', command: ['/bin/true'] },
  },
  {
    operation: 'createSchedule',
    status: 201,
    prepare: async (world) => ({
      path: `/v1/agents/${(await makeAgent(world)).id}/schedules`,
      body: { name: 'once', ...QUARTERS },
    }),
    other: { name: 'another', ...QUARTERS },
  },
  {
    operation: 'createRun',
    status: 202,
    prepare: async (world) => ({
      path: `/v1/agents/${(await makeAgent(world)).id}/runs`,
      body: { input: { b: 1, a: 2 } },
    }),
    other: { input: 2 },
  },
  {
    operation: 'triggerSchedule',
    status: 202,
    prepare: async (world) => ({ path: await scheduled(world, 'trigger') }),
    other: { input: 2 },
  },
  {
    operation: 'retryRun',
    status: 202,
    prepare: async (world) => {
      const id = await run(world);
      await world.send('POST', `/v1/runs/${id}/cancel`);
      return { path: `/v1/runs/${id}/retry` };
    },
    other: { input: 2 },
  },
  {
    operation: 'cancelRun',
    status: 202,
    prepare: async (world) => ({ path: `/v1/runs/${await run(world)}/cancel`, body: { reason: 'enough' } }),
    other: { reason: 'more' },
  },
  {
    operation: 'startBackfill',
    status: 202,
    prepare: async (world) => ({ path: await scheduled(world, 'backfill'), body: backfill }),
    other: { ...backfill, again: true },
  },
  {
    operation: 'cancelBackfill',
    status: 200,
    prepare: async (world) => {
      const path = await scheduled(world, 'backfill');
      const started = await world.send('POST', path, { body: backfill });
      return { path: `${started.headers.get('location')}/cancel` };
    },
  },
  {
    operation: 'pauseSchedule',
    status: 200,
    prepare: async (world) => ({ path: await scheduled(world, 'pause'), body: { reason: 'holiday' } }),
    other: { reason: 'strike' },
  },
  {
    operation: 'resumeSchedule',
    status: 200,
    prepare: async (world) => {
      const path = await scheduled(world, 'resume');
      await world.send('POST', path.replace(/resume$/, 'pause'));
      return { path };
    },
  },
  {
    operation: 'skipOccurrence',
    status: 200,
    prepare: async (world) => ({ path: await scheduled(world, 'skip'), body: { occurrence: NEXT } }),
    other: { occurrence: '2027-01-01T00:30:00Z' },
  },
  {
    operation: 'unskipOccurrence',
    status: 200,
    prepare: async (world) => {
      const path = await scheduled(world, 'unskip');
      await world.send('POST', path.replace(/unskip$/, 'skip'), { body: { occurrence: NEXT } });
      return { path, body: { occurrence: NEXT } };
    },
    other: { occurrence: '2027-01-01T00:30:00Z' },
  },
  {
    operation: 'sealChildren',
    status: 200,
    prepare: async (world) => ({ path: `/v1/runs/${await run(world)}/children/seal` }),
  },
  {
    operation: 'drainVm',
    status: 202,
    prepare: async (world) => {
      const runId = await run(world);
      const { vmId } = await launchVm(world.ports, { tenantId: 'tenant_a', runId, attempt: 1 });
      if ((await world.ports.store.get(keys.vm(vmId))) === undefined) throw new Error('no VM was made');
      return { path: `/v1/vms/${vmId}/drain` };
    },
  },
  {
    operation: 'createPrincipal',
    status: 201,
    prepare: async () => ({ path: '/v1/principals', body: ACCOUNT }),
    other: { ...ACCOUNT, role: 'admin' },
  },
  {
    operation: 'createKey',
    status: 201,
    secret: 'key',
    prepare: async (world) => ({ path: `/v1/principals/${await account(world)}/keys`, body: { name: 'once' } }),
    other: { name: 'another' },
  },
  {
    operation: 'rotateKey',
    status: 201,
    secret: 'key',
    prepare: async (world) => {
      const path = `/v1/principals/${await account(world)}/keys`;
      const key = await world.send('POST', path, { body: { name: 'old' } });
      return { path: `${path}/${key.body.id}/rotate` };
    },
    other: { overlap: '1h' },
  },
  {
    operation: 'createWebhook',
    status: 201,
    secret: 'secret',
    prepare: async () => ({ path: '/v1/webhooks', body: WEBHOOK }),
    other: { ...WEBHOOK, events: ['run.failed'] },
  },
  {
    operation: 'rotateWebhookSecret',
    status: 200,
    secret: 'secret',
    prepare: async (world) => ({ path: `/v1/webhooks/${await webhook(world)}/rotate-secret` }),
    other: { overlap: '1h' },
  },
  {
    operation: 'testWebhook',
    status: 202,
    prepare: async (world) => ({ path: `/v1/webhooks/${await webhook(world)}/test` }),
  },
  {
    operation: 'redeliver',
    status: 202,
    prepare: async (world) => {
      const path = `/v1/webhooks/${await webhook(world)}`;
      const delivery = await world.send('POST', `${path}/test`);
      world.now.ms += 60_000;
      return { path: `${path}/deliveries/${delivery.body.id}/redeliver` };
    },
  },
];
