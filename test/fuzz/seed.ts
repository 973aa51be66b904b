/**
 * Something of everything for the fuzzer to ask about: without it most of what it makes up is answered with 404. What is made
 * apart for deletion keeps the rest alive.
 */
import http from 'node:http';
import type { AddressInfo } from 'node:net';

/** Ids by the names that the paths give them. */
export type Ids = Readonly<Record<string, readonly string[]>>;

export interface Seeded {
  readonly ids: Ids;
  /** For operations that take away. */
  readonly doomed: Ids;
}

const EACH = 4;
const DAY_MS = 86_400_000;
const SETTLE_MS = 30_000;

type Made = { readonly id: string; readonly backfillId: string; readonly items: readonly Made[] };

/** Takes every webhook, and refuses every other one. */
export async function listenForWebhooks(): Promise<{
  readonly url: string;
  readonly taken: () => number;
  readonly close: () => void;
}> {
  let taken = 0;
  const server = http.createServer((request, response) => {
    taken += 1;
    request.resume();
    response.writeHead(taken % 2 === 0 ? 503 : 204).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    taken: () => taken,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** @param endpoint of the webhooks */
export async function seed(
  server: { readonly url: string; readonly token: string },
  endpoint: string,
): Promise<Seeded> {
  const api = async (method: string, path: string, body?: unknown): Promise<Made> => {
    const response = await fetch(`${server.url}${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${server.token}`,
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Made;
  };
  const several = async (make: (number: number) => Promise<Made>): Promise<readonly string[]> => {
    const ids: string[] = [];
    for (let number = 1; number <= EACH; number += 1) ids.push((await make(number)).id);
    return ids;
  };
  const agentsOf = (kind: string) =>
    several((n) => api('POST', '/v1/agents', { name: `${kind} ${n}`, command: ['true'], retry: { maxAttempts: 1 } }));
  const agents = await agentsOf('agent');
  const schedulesOf = (kind: string) =>
    several((n) =>
      api('POST', `/v1/agents/${agents[n - 1]}/schedules`, {
        name: `${kind} ${n}`,
        cadence: n === 1 ? { every: 'PT1M' } : { cron: '0 * * * *', timezone: 'Europe/Berlin' },
        confirmFrequency: true,
      }),
    );
  const schedules = await schedulesOf('schedule');
  const runs = await several((n) => api('POST', `/v1/agents/${agents[n - 1]}/runs`, { input: n }));
  const to = Date.now();
  const backfill = { from: new Date(to - DAY_MS).toISOString(), to: new Date(to).toISOString() };
  const backfills = [await api('POST', `/v1/schedules/${schedules[1]}/backfill`, backfill)];
  const webhooks = await several((n) =>
    api('POST', '/v1/webhooks', { url: `${endpoint}${n}`, events: ['agent.deleted'] }),
  );
  const deliveries = await several(() => api('POST', `/v1/webhooks/${webhooks[0]}/test`));
  const account = await api('POST', '/v1/principals', { name: 'account', role: 'operator' });
  const keysOf = (kind: string) =>
    several((n) => api('POST', `/v1/principals/${account.id}/keys`, { name: `${kind} ${n}` }));
  return {
    ids: {
      agentId: agents,
      // A backfill is found under its own schedule only.
      scheduleId: [...schedules, schedules[1] ?? ''],
      runId: runs,
      backfillId: backfills.map(({ backfillId }) => backfillId),
      webhookId: [...webhooks, webhooks[0] ?? ''],
      deliveryId: deliveries,
      principalId: [account.id],
      keyId: await keysOf('key'),
      vmId: await vmsOf(api),
    },
    doomed: {
      agentId: await agentsOf('doomed agent'),
      scheduleId: await schedulesOf('doomed schedule'),
      webhookId: await several((n) => api('POST', '/v1/webhooks', { url: `${endpoint}doomed${n}`, events: ['vm.*'] })),
      keyId: await keysOf('doomed key'),
    },
  };
}

/** The VMs that the runs were to have; nothing launches them. */
async function vmsOf(api: (method: string, path: string) => Promise<Made>): Promise<readonly string[]> {
  for (const giveUp = Date.now() + SETTLE_MS; Date.now() < giveUp; ) {
    const { items } = await api('GET', '/v1/vms');
    if (items.length >= EACH) return items.map(({ id }) => id);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`no ${EACH} VMs within ${SETTLE_MS} ms`);
}
