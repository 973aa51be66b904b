/** One run through the whole API over a real store, whose requests and answers are the examples of the OpenAPI document. */
import { createHash } from 'node:crypto';
import { timeOrderedId } from '../../core/ids.ts';
import type { Ids } from '../../core/ports.ts';
import { fire } from '../../core/schedules/fire.ts';
import { launchVm } from '../../core/vms/provision.ts';
import { operationOf, propertyOrder } from './documented.ts';
import { type Answer, createHttpWorld, type Engine, type HttpWorld, type SendOptions } from './httpWorld.ts';

interface Recorded {
  request?: unknown;
  answers?: Record<string, unknown>;
}
export interface RecordedExamples {
  readonly operations: Record<string, Recorded>;
  readonly problems: Record<string, unknown>;
}

type Send = (method: string, path: string, options?: SendOptions) => Promise<Answer>;

const MINUTE = 60_000;

/** Ids that are the same each time. */
function countingIds(): Ids {
  let count = 0;
  const bytes = () => createHash('sha256').update(`example ${++count}`).digest();
  return {
    next: (prefix, nowMs) => timeOrderedId(prefix, nowMs, bytes()),
    writer: () => bytes().toString('base64url').slice(0, 16),
    secret: () => bytes().toString('base64url'),
  };
}

/** The first request and the first answer of each operation and status, and the first problem of each code. */
export async function recordExamples(engine: Engine): Promise<RecordedExamples> {
  let requests = 0;
  const requestId = () => `00000000-0000-4000-8000-${String(++requests).padStart(12, '0')}`;
  const world = await createHttpWorld(engine, { requestId, ids: countingIds() });
  const found: RecordedExamples = { operations: {}, problems: {} };
  const send: Send = async (method, path, options) => {
    const answer = await world.send(method, path, options);
    const operation = operationOf(method, path.split('?')[0] ?? path);
    if (answer.status >= 400) found.problems[answer.body.code] ??= answer.body;
    else if (operation !== undefined && answer.body !== undefined && !path.startsWith('/runner/')) {
      found.operations[operation] ??= {};
      const recorded = found.operations[operation];
      if (options?.body !== undefined) recorded.request ??= options.body;
      recorded.answers ??= {};
      recorded.answers[answer.status] ??= answer.body;
    }
    return answer;
  };
  const agentId = await agents(send);
  world.now.ms += MINUTE;
  const runId = await runs(world, send, agentId);
  world.now.ms += MINUTE;
  await schedules(world, send, agentId);
  await access(send);
  await webhooks(send);
  await system(send);
  await refusals(send, agentId, runId);
  return found;
}

async function agents(send: Send): Promise<string> {
  const agent = await send('POST', '/v1/agents', {
    body: {
      name: 'Weekly report',
      command: ['/usr/bin/report', '--since', 'monday'],
      env: { REGION: 'eu-central-1', API_TOKEN: { secret: 'report-api-token' } },
      limits: { runTimeout: 'PT30M', maxConcurrentRuns: 4 },
      successCriteria: { artifact: 'report.md' },
      artifacts: ['report.md'],
      metadata: { team: 'insights' },
    },
  });
  const path = `/v1/agents/${agent.body.id}`;
  await send('GET', '/v1/agents');
  await send('GET', path);
  await send('PATCH', path, { headers: { 'if-match': '"1"' }, body: { warmFor: 'PT10M', metadata: null } });
  const passing = await send('POST', '/v1/agents', { body: { name: 'Short-lived', command: ['/bin/true'] } });
  await send('DELETE', `/v1/agents/${passing.body.id}`, { headers: { 'if-match': '"1"' } });
  return agent.body.id;
}

/** A run from its start to its end, as its VM tells of it; then the same again, with a child, until it is cancelled. */
async function runs(world: HttpWorld, send: Send, agentId: string): Promise<string> {
  const run = await send('POST', `/v1/agents/${agentId}/runs`, { body: { input: { week: 53 } } });
  const path = `/v1/runs/${run.body.id}`;
  await send('GET', `${path}/explain`);
  const vm = await runnerOf(world, run.body.id, 1);
  await vm.beat([]);
  world.now.ms += 2000;
  await vm.beat([{ runId: run.body.id, attempt: 1, state: 'running', pid: 4711, startedAgoMs: 1500 }]);
  await world.ports.logs.putChunk({ tenantId: 'tenant_a', runId: run.body.id, attempt: 1 }, 0, [
    { atMs: 12, stream: 'stdout', text: 'collecting 7 days\n' },
    { atMs: 480, stream: 'stdout', text: 'wrote report.md\n' },
  ]);
  const report = { path: 'report.md', bytes: 7, sha256: createHash('sha256').update('# Week\n').digest('hex') };
  world.now.ms += 5000;
  const ended = { state: 'ended', pid: 4711, startedAgoMs: 6500, endedAgoMs: 500, exitCode: 0, terminatedBy: 'self' };
  await vm.beat([
    { runId: run.body.id, attempt: 1, ...ended, output: { pages: 3 }, logChunks: 1, artifacts: [report] },
  ]);
  await send('GET', path);
  await send('GET', `${path}/events`);
  await send('GET', `${path}/logs`);
  await send('GET', '/v1/vms');
  await send('GET', `/v1/vms/${vm.vmId}`);
  const again = await send('POST', `${path}/retry`, { body: { input: { week: 52 } } });
  const parent = await runnerOf(world, again.body.id, 1, vm);
  await parent.beat([{ runId: again.body.id, attempt: 1, state: 'running', pid: 4712, startedAgoMs: 100 }]);
  const token = await world.ports.tokens.sign(
    { kind: 'run', tenantId: 'tenant_a', vmId: parent.vmId, runId: again.body.id, attempt: 1 },
    world.now.ms + MINUTE,
  );
  await world.send('POST', `/v1/agents/${agentId}/runs`, { token, body: { input: 'a part of it' } });
  await send('GET', `/v1/runs/${again.body.id}/children`);
  await send('POST', `/v1/runs/${again.body.id}/children/seal`);
  await send('POST', `/v1/vms/${vm.vmId}/drain`);
  await send('POST', `/v1/runs/${again.body.id}/cancel`, { body: { reason: 'the week is not over' } });
  await send('GET', '/v1/runs?limit=2');
  return run.body.id;
}

/** The runner of a run's VM: of a new one, unless the one that is given has taken the run over. */
async function runnerOf(world: HttpWorld, runId: string, attempt: number, warm?: Runner): Promise<Runner> {
  const at = (await world.send('GET', `/v1/runs/${runId}`)).body;
  if (warm !== undefined && at.vmId === warm.vmId) return warm;
  const { vmId } = await launchVm(world.ports, { tenantId: 'tenant_a', runId, attempt });
  const key = await world.launches.at(-1)!.registrationKey();
  const registered = await world.send('POST', '/runner/v1/register', {
    token: key,
    body: { vmId, nonce: `nonce-of-${vmId}`, runnerVersion: '1' },
  });
  let seq = 0;
  const beat = (registry: readonly object[]) =>
    world.send('POST', '/runner/v1/heartbeat', {
      token: registered.body.token,
      body: { vmId, generation: 1, seq: ++seq, registry, acks: seq - 1 },
    });
  return { vmId, beat };
}
interface Runner {
  readonly vmId: string;
  readonly beat: (registry: readonly object[]) => Promise<Answer>;
}

async function schedules(world: HttpWorld, send: Send, agentId: string): Promise<void> {
  const schedule = await send('POST', `/v1/agents/${agentId}/schedules`, {
    body: {
      name: 'Mondays',
      cadence: { cron: '0 7 * * MON', timezone: 'Europe/Berlin' },
      input: { week: 'last' },
      pauseOnFailure: { consecutive: 3 },
    },
  });
  const path = `/v1/schedules/${schedule.body.id}`;
  await send('GET', `/v1/agents/${agentId}/schedules`);
  await send('GET', '/v1/schedules');
  await send('POST', '/v1/schedules/preview', {
    body: { cadence: { cron: '0 7 * * MON', timezone: 'Europe/Berlin' }, count: 3 },
  });
  const [first, , third] = schedule.body.nextOccurrences as string[];
  await send('POST', `${path}/skip`, { body: { occurrence: third, reason: 'a holiday' } });
  await send('GET', `${path}/upcoming?count=3`);
  await send('POST', `${path}/unskip`, { body: { occurrence: third } });
  world.now.ms = Date.parse(String(first)) + 2000;
  await fire(world.ports, { scheduleId: schedule.body.id, scheduledTime: Date.parse(String(first)) });
  await send('GET', path);
  await send('GET', `${path}/occurrences`);
  await send('GET', `${path}/runs?limit=1`);
  await send('GET', `${path}/explain?at=${first}`);
  const { body: busy } = await send('GET', path);
  await send('POST', `${path}/trigger`);
  await send('POST', `/v1/runs/${busy.liveRuns[0]}/cancel`);
  await send('POST', `${path}/trigger`, { body: { input: { week: 'this' } } });
  const dryRun = { cadence: { cron: '30 7 * * MON', timezone: 'Europe/Berlin' } };
  const changed = await send('PATCH', path, { headers: { 'if-match': '*' }, body: dryRun });
  await send('PATCH', `${path}?dryRun=true`, { headers: { 'if-match': changed.headers.get('etag')! }, body: dryRun });
  await send('GET', `${path}/revisions`);
  world.now.ms += 10 * MINUTE;
  const backfill = await send('POST', `${path}/backfill`, {
    body: { from: first, to: first, overlapPolicy: 'allow_all', again: true },
  });
  await send('GET', `${path}/backfills/${backfill.body.backfillId}`);
  await send('POST', `${path}/backfills/${backfill.body.backfillId}/cancel`);
  await send('POST', `${path}/pause`, { body: { reason: 'on holiday' } });
  await send('POST', `${path}/resume`);
  await send('DELETE', path, { headers: { 'if-match': '*' } });
  await send('DELETE', `${path}?cancelRuns=true`, { headers: { 'if-match': '*' } });
}

async function access(send: Send): Promise<void> {
  await send('GET', '/v1/me');
  const account = await send('POST', '/v1/principals', { body: { name: 'nightly build', role: 'operator' } });
  const path = `/v1/principals/${account.body.id}`;
  await send('GET', path);
  const key = await send('POST', `${path}/keys`, { body: { name: 'ci', expiresIn: 'P30D' } });
  await send('POST', `${path}/keys/${key.body.id}/rotate`, { body: { overlap: 'PT1H' } });
  await send('GET', `${path}/keys`);
  await send('DELETE', `${path}/keys/${key.body.id}`);
  await send('PATCH', path, { headers: { 'if-match': '*' }, body: { role: 'viewer' } });
  await send('GET', '/v1/principals');
}

async function webhooks(send: Send): Promise<void> {
  const body = { url: 'https://example.com/candor', events: ['run.failed'], description: 'alerts' };
  const webhook = await send('POST', '/v1/webhooks', { body });
  const path = `/v1/webhooks/${webhook.body.id}`;
  await send('GET', '/v1/webhooks');
  await send('GET', path);
  await send('PATCH', path, { headers: { 'if-match': '"1"' }, body: { events: ['run.*'] } });
  await send('POST', `${path}/rotate-secret`, { body: { overlap: 'PT1H' } });
  const delivery = await send('POST', `${path}/test`);
  await send('GET', `${path}/deliveries`);
  await send('GET', `${path}/deliveries/${delivery.body.id}`);
  await send('POST', `${path}/deliveries/${delivery.body.id}/redeliver`);
  await send('DELETE', path, { headers: { 'if-match': '*' } });
}

async function system(send: Send): Promise<void> {
  await send('GET', '/v1/health', { token: null });
  await send('GET', '/v1/system');
  await send('GET', '/v1/system/audit');
  await send('GET', '/v1/events?limit=2');
  await send('GET', '/v1/audit-log?limit=2');
}

/** One of each refusal that a caller is likely to see. */
async function refusals(send: Send, agentId: string, runId: string): Promise<void> {
  await send('GET', '/v1/agents', { token: null });
  await send('GET', `/v1/agents/agt_${'0'.repeat(26)}`);
  await send('POST', '/v1/agents', { body: { name: 'Weekly report', command: ['/bin/true'] } });
  await send('POST', '/v1/agents', { body: { name: 'x', comand: ['/bin/true'] } });
  await send('POST', '/v1/agents', { rawBody: '{"name":' });
  await send('POST', '/v1/agents', { rawBody: 'name: x', headers: { 'content-type': 'application/yaml' } });
  await send('POST', '/v1/agents', { rawBody: ' '.repeat(1024 * 1024) });
  await send('PATCH', `/v1/agents/${agentId}`, { body: {} });
  await send('PATCH', `/v1/agents/${agentId}`, { headers: { 'if-match': '"1"' }, body: {} });
  await send('POST', `/v1/runs/${runId}/cancel`);
}

/** The store keeps no order within an object: the document's is taken, then that of the alphabet. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (typeof value !== 'object' || value === null) return value;
  const place = (name: string) => propertyOrder.get(name) ?? Number.MAX_SAFE_INTEGER;
  const entries = Object.entries(value).sort(([a], [b]) => place(a) - place(b) || (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, each]) => [name, ordered(each)]));
}

/** As they are kept in `adapters/http/examples.json`. */
export const examplesFile = ({ operations, problems }: RecordedExamples): string =>
  `${JSON.stringify({ ...(ordered(operations) as object), problems: ordered(problems) }, undefined, 2)}\n`;
