/** The demo's steps: each does one thing through the API, shows it as it happens, and checks what it shows. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { identify, isAlive } from '../adapters/local/procfs.ts';
import type { CandorClient } from '../cli/client.ts';
import { type EventBody, isTerminal, type RunBody } from '../core/contract/runs.ts';
import { type Checks, countIn, newNonce, recount } from './checks.ts';

export interface Stage {
  readonly client: CandorClient;
  readonly checks: Checks;
}

export const REPOSITORY = path.resolve(fileURLToPath(new URL('..', import.meta.url)));
const DIGEST = fileURLToPath(new URL('./digest.ts', import.meta.url));
const say = (line = '') => process.stdout.write(`${line}\n`);
const POLL_MS = 150;
/** A run of the demo that has not ended by then is stuck, and the demo says so. */
const LIMIT_MS = 90_000;
const SECONDS_AHEAD = 3;

export async function scheduledDigest({ client, checks }: Stage): Promise<void> {
  say('\n1. An agent that reads this repository, scheduled once in a few seconds and every weekday at 07:30 in Berlin');
  const agent = await client.call('createAgent', {
    body: { name: 'repository-digest', command: [process.execPath, DIGEST], limits: { runTimeout: 'PT1M' } },
  });
  const input = { repository: REPOSITORY, nonce: newNonce() };
  const at = new Date(Math.ceil(Date.now() / 1000) * 1000 + SECONDS_AHEAD * 1000).toISOString();
  const once = await client.call('createSchedule', {
    path: { agentId: agent.id },
    body: { name: 'digest, once', cadence: { at }, input },
  });
  const weekdays = await client.call('createSchedule', {
    path: { agentId: agent.id },
    body: { name: 'digest, weekdays', cadence: { cron: '30 7 * * 1-5', timezone: 'Europe/Berlin' }, input },
  });
  say(`   agent ${agent.id}`);
  say(`   schedule ${once.id} "${once.name}": next ${once.nextOccurrences.join(', ')}`);
  say(`   schedule ${weekdays.id} "${weekdays.name}": next ${weekdays.nextOccurrences.slice(0, 3).join(', ')} …`);

  const runId = await dispatched(client, once.id);
  say(`\n2. It fired by itself: run ${runId}`);
  const run = await follow(client, runId);
  await showLogs(client, runId);
  const digest = typeof run.output === 'string' ? run.output : '';
  say('\n3. What the agent wrote:\n');
  say(digest.replace(/^/gm, '   │ '));
  showEvidence(run);
  say('\n   Checked against a count of our own:');
  checks.that(run.status === 'succeeded', 'the run succeeded', run.status);
  checks.that(digest.includes(input.nonce), 'the digest carries the nonce of the input');
  for (const [what, expected] of Object.entries(recount(REPOSITORY)))
    checks.that(countIn(digest, what) === expected, `${what}: ${expected}`, countIn(digest, what));
  const events = await allEvents(client, runId);
  checks.that(
    events.every((event, index) => event.sequence === index + 1),
    `${events.length} events without a gap`,
  );
  const after = await client.call('getSchedule', { path: { scheduleId: once.id } });
  checks.that(
    after.status === 'completed' && !after.overdue,
    'the one-off schedule is completed, and not overdue',
    after.status,
  );
  checks.that(weekdays.nextOccurrences.length === 5, 'the weekday schedule waits for its next occurrence');
}

async function dispatched(client: CandorClient, scheduleId: string): Promise<string> {
  const limit = Date.now() + LIMIT_MS;
  for (;;) {
    const { items } = await client.call('listOccurrences', { path: { scheduleId } });
    const [first] = items;
    if (first?.runId !== undefined) return first.runId;
    if (first !== undefined) throw new Error(`the occurrence was ${first.disposition}: ${first.reason ?? ''}`);
    if (Date.now() > limit) throw new Error('the schedule did not fire');
    await client.pause(POLL_MS);
  }
}

export async function cancelledRun({ client, checks }: Stage): Promise<void> {
  say('\n4. A long run that will not listen to SIGINT, cancelled with proof');
  const stubborn =
    'process.on("SIGINT", () => console.log("ignoring SIGINT")); console.log("working"); setInterval(() => {}, 1000)';
  const agent = await client.call('createAgent', {
    body: { name: 'long-worker', command: [process.execPath, '-e', stubborn] },
  });
  const { id } = await client.call('createRun', { path: { agentId: agent.id }, body: { input: null } });
  const pid = await follow(client, id, (run) => run.status === 'running').then(() => pidOf(client, id));
  await untilLogged(client, id, 'working');
  const before = identify(pid);
  say(`   process ${pid} is ${before === undefined ? 'not there' : 'alive'}; asking for its end`);
  checks.that(before !== undefined, 'the process was alive before the cancel');
  await client.call('cancelRun', { path: { runId: id }, body: { reason: 'the demo has seen enough' } });
  const run = await follow(client, id);
  showEvidence(run);
  say('\n   Checked:');
  checks.that(run.status === 'cancelled', 'the run is cancelled', run.status);
  checks.that(run.cancel?.acknowledgedAt !== undefined, 'the runner acknowledged it', run.cancel);
  checks.that(run.cancel?.processGoneAt !== undefined, 'the process was seen to be gone', run.cancel);
  checks.that(
    run.cancel?.signals?.join() === 'SIGINT,SIGTERM',
    'SIGINT was not enough, SIGTERM was',
    run.cancel?.signals,
  );
  checks.that(before !== undefined && !isAlive(before), `process ${pid} does not exist any more`);
}

/** The last event of each run that has been printed. */
const shown = new Map<string, number>();

/** Prints each event as it comes, until the run has ended (or what was waited for holds). */
async function follow(
  client: CandorClient,
  runId: string,
  enough = (run: RunBody) => isTerminal(run.status),
): Promise<RunBody> {
  const limit = Date.now() + LIMIT_MS;
  for (;;) {
    // The run first: what has happened by then is in the events that are read after it.
    const run = await client.call('getRun', { path: { runId } });
    for (const event of (await allEvents(client, runId)).slice(shown.get(runId) ?? 0)) {
      shown.set(runId, event.sequence);
      say(`   ${event.at}  ${event.type.padEnd(24)} ${detailOf(event)}`);
    }
    if (enough(run)) return run;
    if (isTerminal(run.status)) throw new Error(`run ${runId} ended early: ${run.status} (${run.evidence.detail})`);
    if (Date.now() > limit) throw new Error(`run ${runId} is still ${run.status}`);
    await client.pause(POLL_MS);
  }
}

function detailOf(event: EventBody): string {
  const { evidence } = event.detail as { readonly evidence?: { readonly detail?: string } };
  return evidence?.detail ?? '';
}

async function allEvents(client: CandorClient, runId: string): Promise<readonly EventBody[]> {
  return (await client.call('listRunEvents', { path: { runId }, query: { limit: 100 } })).items;
}

async function pidOf(client: CandorClient, runId: string): Promise<number> {
  const event = (await allEvents(client, runId)).find((each) => typeof each.detail.pid === 'number');
  return Number(event?.detail.pid ?? 0);
}

/** The process exists before its program has begun: what it prints first says that its handlers stand. */
async function untilLogged(client: CandorClient, runId: string, text: string): Promise<void> {
  const limit = Date.now() + LIMIT_MS;
  for (;;) {
    const page = await client.call('getRunLogs', { path: { runId } });
    if (page.items.some((record) => record.text?.includes(text))) return;
    if (Date.now() > limit) throw new Error(`run ${runId} never printed "${text}"`);
    await client.pause(POLL_MS);
  }
}

async function showLogs(client: CandorClient, runId: string): Promise<void> {
  const page = await client.call('getRunLogs', { path: { runId } });
  for (const record of page.items)
    for (const line of (record.text ?? '').split('\n').filter(Boolean))
      say(`   ${record.stream} +${Math.round(record.atMs)} ms  ${line}`);
}

function showEvidence(run: RunBody): void {
  const { evidence, cancel } = run;
  say(`\n   ${run.displayName}: ${run.status}${run.exitCode === undefined ? '' : `, exit code ${run.exitCode}`}`);
  say(`   evidence: ${evidence.detail}`);
  say(`   seen by ${evidence.source} at ${evidence.observedAt}`);
  if (cancel === undefined) return;
  say(`   cancel: requested ${cancel.requestedAt} by ${cancel.requestedBy}`);
  say(
    `           acknowledged ${cancel.acknowledgedAt ?? 'never'}, process gone ${cancel.processGoneAt ?? 'not seen'}, signals ${cancel.signals?.join(', ') ?? 'none'}`,
  );
}
