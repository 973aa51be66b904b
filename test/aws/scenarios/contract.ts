/** What API clients lean on besides runs: keys, repeats, the feed, the audit log and webhooks, as they are deployed. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { KeyBody, MeBody, NewKeyBody, PrincipalBody } from '../../../core/contract/access.ts';
import type { AgentBody } from '../../../core/contract/agents.ts';
import type { AuditLogEntryBody } from '../../../core/contract/auditLog.ts';
import type { ListBody } from '../../../core/contract/common.ts';
import type { FeedBody, FeedEventBody } from '../../../core/contract/feed.ts';
import { isTerminal, type RunBody, type RunStatus } from '../../../core/contract/runs.ts';
import type { DeliveryBody, NewSecretBody } from '../../../core/contract/webhooks.ts';
import type { Scenario } from '../scenario.ts';
import { until, type World } from '../world.ts';

/** A name of which it is settled that it leads nowhere (RFC 6761). */
const NOWHERE = 'https://webhook.invalid/candor';

const keys: Scenario = {
  name: 'a service account’s key opens what its role says, for its agents, until it is revoked',
  smoke: true,
  async play(world) {
    const [own, other] = [await world.worker(), await world.worker()];
    const account = await world.post<PrincipalBody>('/v1/principals', { name: 'ci', agents: { [own.id]: 'operator' } });
    const at = `/v1/principals/${account.id}/keys`;
    const { id, key: token } = await world.post<NewKeyBody>(at, { name: 'builds' });
    const ask = async (method: string, url: string, body?: unknown) =>
      (await world.request(method, url, { token, ...(body !== undefined && { body }) })).status;
    assert.equal((await world.request<MeBody>('GET', '/v1/me', { token })).body.principalId, account.id);
    assert.equal(await ask('GET', `/v1/agents/${own.id}`), 200);
    assert.equal(await ask('GET', `/v1/agents/${other.id}`), 404, 'an agent of which it may not know');
    assert.equal(await ask('POST', `/v1/agents/${other.id}/runs`, { input: {} }), 404);
    assert.equal(await ask('DELETE', `/v1/agents/${own.id}`), 403, 'an operator deletes no agent');
    assert.equal(await ask('GET', '/v1/principals'), 403);
    const { items } = await world.get<ListBody<KeyBody>>(at);
    assert.deepEqual(
      items.map(({ status, lastUsedAt }) => [status, lastUsedAt !== undefined]),
      [['active', true]],
    );
    await world.change('DELETE', `${at}/${id}`);
    assert.equal(await ask('GET', `/v1/agents/${own.id}`), 401, 'from the next call on');
  },
};

const repeats: Scenario = {
  name: 'the same POST under one key, twenty times at once and once more: one run, one answer',
  smoke: true,
  async play(world) {
    const agent = await world.worker();
    const url = `/v1/agents/${agent.id}/runs`;
    const headers = { 'idempotency-key': randomUUID() };
    const input = world.orders({ output: 1 });
    const post = () => world.request<RunBody>('POST', url, { headers, body: { input } });
    const first = await Promise.all(Array.from({ length: 20 }, post));
    const unexpected = first.filter(({ status }) => status !== 202 && status !== 409);
    assert.deepEqual(unexpected, [], 'done, or still at work');
    const again = await post();
    assert.equal(again.headers.get('idempotency-replayed'), 'true');
    const ids = new Set([...first, again].filter(({ status }) => status === 202).map(({ body }) => body.id));
    assert.equal(ids.size, 1);
    const other = await world.request('POST', url, { headers, body: { input: { another: 'payload' } } });
    assert.equal(other.status, 422);
    const { items } = await world.get<ListBody<RunBody>>(`/v1/runs?agentId=${agent.id}`);
    assert.deepEqual(
      items.map(({ id }) => id),
      [...ids],
    );
    await world.ended(again.body);
  },
};

async function read(world: World, after: string, query: string, enough: (items: readonly FeedEventBody[]) => boolean) {
  const items: FeedEventBody[] = [];
  let cursor = after;
  await until('the feed tells it', async () => {
    const page = await world.get<FeedBody>(`/v1/events?after=${encodeURIComponent(cursor)}&wait=10${query}`);
    items.push(...page.items);
    cursor = page.nextCursor;
    return enough(items);
  });
  return items;
}

const feed: Scenario = {
  name: 'the feed tells a run from beginning to end, in order; the audit log who has changed its agent; a webhook is tried, and tried again',
  smoke: true,
  async play(world) {
    const { nextCursor } = await world.get<FeedBody>('/v1/events?after=latest');
    const webhook = await world.post<NewSecretBody>('/v1/webhooks', { url: NOWHERE, events: ['run.succeeded'] });
    const agent = await world.worker();
    await world.change<AgentBody>('PATCH', `/v1/agents/${agent.id}`, { name: `changed ${agent.id}` });
    const run = await world.run(agent, world.orders({ output: 1 }));
    await world.ended(run);

    const isEnd = ({ type }: FeedEventBody) => isTerminal(type.replace(/^run\./, '') as RunStatus);
    const told = await read(world, nextCursor, `&runId=${run.id}`, (items) => items.some(isEnd));
    // At least once: what comes again is not a step back.
    const fresh = [...new Map(told.map((event) => [event.id, event])).values()];
    const events = await world.events(run);
    assert.deepEqual(
      fresh.map(({ sequence }) => sequence),
      events.map(({ sequence }) => sequence),
    );

    const { items } = await world.get<ListBody<AuditLogEntryBody>>(`/v1/audit-log?resource=${agent.id}`);
    assert.ok(items.some(({ operation, changes }) => operation === 'updateAgent' && changes[0]?.before === 1));

    const deliveries = `/v1/webhooks/${webhook.id}/deliveries`;
    // The second try is the clock's: it comes within the minute.
    const delivery = await until('the second try', async () => {
      const { items } = await world.get<ListBody<DeliveryBody>>(deliveries);
      return items.find(({ attemptCount }) => attemptCount >= 2);
    });
    assert.equal(delivery.eventType, 'run.succeeded');
    assert.deepEqual(
      delivery.attempts.map(({ outcome }) => outcome),
      ['failed', 'failed'],
    );
    assert.ok(delivery.nextAttemptAt, 'and it will be tried again');
    await world.change('DELETE', `/v1/webhooks/${webhook.id}`);
  },
};

export const contractScenarios: readonly Scenario[] = [keys, repeats, feed];
