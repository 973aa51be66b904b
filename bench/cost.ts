/**
 * `npm run bench -- cost`: what a scheduled run costs beside its VM, counted. The real use cases play one run that launches
 * its VM (cold) and one that takes a warm one, on the local engine, which answers each call with the capacity units that
 * DynamoDB would count. Calls of Lambda, states of Step Functions and the rest are counted as they are made.
 *
 * Prices: eu-central-1's order of magnitude, in $ per million, as in `docs/cost.md`; put your own in with --prices FILE.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { dynamoClient } from '../adapters/aws/client.ts';
import { DynamoStore } from '../adapters/aws/store.ts';
import { appendToFeed } from '../core/feed/append.ts';
import { deliver } from '../core/notifications/deliver.ts';
import type { Ports } from '../core/ports.ts';
import type { EventRow } from '../core/runs/model.ts';
import { fire } from '../core/schedules/fire.ts';
import * as keys from '../core/table/itemKeys.ts';
import { asItem, asRow } from '../core/table/rows.ts';
import { awaitReady, dispatchRun, launchVm } from '../core/vms/provision.ts';
import { observeVm } from '../core/vms/release.ts';
import { tick } from '../core/watchdog/tick.ts';
import { ended, FakeRunner, running, runRow } from '../test/core/support.ts';
import { MONDAY_NOON, testEngine, type World } from '../test/support/world.ts';
import { type CallCost, meter } from './meter.ts';

const MINUTE = 60_000;

/** $ per million of each. */
const PRICES: Readonly<Record<string, number>> = {
  scheduler: 1,
  lambda: 0.27,
  states: 25,
  writeUnits: 0.625,
  readUnits: 0.125,
  apiRequests: 1.0,
  s3Puts: 5.4,
};

class Tally {
  readonly counts = new Map<string, number>();

  /** What each step called, in order: for --steps. */
  readonly calls: { readonly step: string; readonly cost: CallCost }[] = [];

  add(what: string, number = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + number);
  }

  dollars(prices: Readonly<Record<string, number>>): number {
    return [...this.counts].reduce((sum, [what, number]) => sum + number * (prices[what] ?? 0), 0);
  }
}

type Schedule = Awaited<ReturnType<World['schedule']>>;

interface Stage {
  readonly world: World;
  readonly ports: Ports;
  tally: Tally;
  step: string;
  /** Events that the stream's consumer has had. */
  readonly consumed: Set<string>;
}

function count({ tally, step }: Stage, cost: CallCost): void {
  tally.add(cost.kind === 'write' ? 'writeUnits' : 'readUnits', cost.units);
  tally.add('dynamodbCalls');
  tally.calls.push({ step, cost });
}

/** One call of a function: what it costs beside what it does. */
async function called<Result>(stage: Stage, step: string, work: () => Promise<Result>): Promise<Result> {
  stage.tally.add('lambda');
  stage.step = step;
  return work();
}

/** Through the door of the API: a request, and the function behind it. */
async function requested<Result>(stage: Stage, step: string, work: () => Promise<Result>): Promise<Result> {
  stage.tally.add('apiRequests');
  return called(stage, step, work);
}

const events = async ({ world }: Stage, pk: string): Promise<readonly EventRow[]> => {
  const { items } = await world.ports.store.query({ pk, prefix: 'EVT#', limit: 100 });
  return items.map((item) => asRow<EventRow>(item)).filter((row) => row !== undefined);
};

/** From the clock's call to the run's placement. */
async function fired(stage: Stage, { id, agentId, createdBy, specVersion }: Schedule, at: number): Promise<string> {
  stage.world.now = at + 500;
  stage.tally.add('scheduler');
  // As the clock on AWS delivers it.
  const delivery = { scheduleId: id, scheduledTime: at, specVersion, agentId, principalId: createdBy };
  const outcome = await called(stage, 'fire', () => fire(stage.ports, delivery));
  if (!('runId' in outcome)) throw new Error(`the fire started no run: ${JSON.stringify(outcome)}`);
  return outcome.runId;
}

/**
 * The heartbeat that brings the start, the one that reports the work, and a minute later the one that reports its end. Those
 * between are counted by the hour.
 */
const HEARTBEATS = 3;
async function worked(stage: Stage, runner: FakeRunner, runId: string): Promise<void> {
  const { world, ports } = stage;
  world.now += 2000;
  await requested(stage, 'start', () => runner.beat([], ports));
  world.now += 2000;
  await requested(stage, 'seen at work', () => runner.beat([running(runId)], ports));
  await consumed(stage, runId);
  await aside(stage, async () => {
    for (let beat = 0; beat < 4; beat++) {
      world.now += 15_000;
      await runner.beat([running(runId)], ports);
    }
  });
  world.now += 2000;
  await requested(stage, 'end', () => runner.beat([ended(runId)], ports));
}

/** What is counted elsewhere. */
async function aside(stage: Stage, work: () => Promise<unknown>): Promise<void> {
  const { tally } = stage;
  stage.tally = new Tally();
  await work();
  stage.tally = tally;
}

/** The stream's consumer is called soon after each transaction: only what comes within about a second is one call. */
async function consumed(stage: Stage, runId: string): Promise<void> {
  const { vmId } = await runRow(stage.world, runId);
  const pks = [keys.run(runId).pk, ...(vmId === undefined ? [] : [keys.vm(vmId).pk])];
  const all = (await Promise.all(pks.map((pk) => events(stage, pk)))).flat();
  const rows = all.filter(({ pk, sk }) => !stage.consumed.has(pk + sk));
  for (const { pk, sk } of rows) stage.consumed.add(pk + sk);
  const records = rows.map((row) => ({ number: row.sk, item: asItem(row) }));
  await called(stage, 'fan-out', () => deliver(stage.ports, records));
}

/** The feed's first batch after a quiet time costs more than those that follow it. */
async function warmFeed({ world, ports }: Stage): Promise<void> {
  const { items } = await world.ports.store.query({
    pk: keys.agent((await world.agent()).id).pk,
    prefix: 'EVT#',
    limit: 1,
  });
  const row = asRow<EventRow>(items[0]);
  if (row === undefined) throw new Error('an agent has an event');
  for (let number = 0; number < 40; number++) await appendToFeed(ports, [{ ...row, subjectId: `agt_${number}` }]);
}

/** As long as Step Functions' own are. */
const TASK_TOKEN = 'A'.repeat(720);

const BOOT_MS = 40_000;
const STATES = { LaunchVm: 1, AwaitReady: 1, DispatchRun: 1, Done: 1 } as const;

async function cold(stage: Stage, schedule: Schedule, at: number) {
  const runId = await fired(stage, schedule, at);
  const input = { tenantId: stage.world.caller.tenantId, runId, attempt: 1 };
  await consumed(stage, runId);
  for (const state of Object.values(STATES)) stage.tally.add('states', state);
  const { vmId } = await called(stage, 'LaunchVm', () => launchVm(stage.ports, input));
  await called(stage, 'AwaitReady', () => awaitReady(stage.ports, { ...input, vmId, taskToken: TASK_TOKEN }));
  await consumed(stage, runId);
  stage.world.now += BOOT_MS;
  const runner = new FakeRunner(stage.world, vmId);
  await requested(stage, 'registration', () => runner.register(stage.ports));
  await called(stage, 'DispatchRun', () => dispatchRun(stage.ports, { ...input, vmId }));
  await consumed(stage, runId);
  await worked(stage, runner, runId);
  await consumed(stage, runId);
  return { runId, vmId, runner };
}

async function warm(stage: Stage, schedule: Schedule, at: number, runner: FakeRunner): Promise<void> {
  const runId = await fired(stage, schedule, at);
  if ((await runRow(stage.world, runId)).vmId !== runner.vmId) throw new Error('the run did not take the warm VM');
  await consumed(stage, runId);
  await worked(stage, runner, runId);
  await consumed(stage, runId);
}

/** With its heartbeats, and the watchdog's looks, until then. */
async function keptWarm(stage: Stage, runner: FakeRunner, until: number): Promise<void> {
  const { world, ports } = stage;
  await aside(stage, async () => {
    for (let beat = 0; world.now < until - 5000; beat++) {
      world.now += 5000;
      await runner.beat([], ports);
      if (beat % 12 === 0) await tick(ports, { owner: 'bench', budgetMs: MINUTE });
    }
  });
}

const LABELS: Readonly<Record<string, string>> = {
  scheduler: 'Scheduler invocations',
  lambda: 'Lambda calls',
  states: 'Step Functions states',
  dynamodbCalls: 'DynamoDB calls',
  writeUnits: 'DynamoDB write units',
  readUnits: 'DynamoDB read units',
  apiRequests: 'API Gateway requests',
  s3Puts: 'S3 puts',
};

export async function benchCost(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { prices: { type: 'string' }, steps: { type: 'boolean', default: false } },
  });
  const own = values.prices === undefined ? {} : (JSON.parse(readFileSync(values.prices, 'utf8')) as typeof PRICES);
  const prices = { ...PRICES, ...own };
  const engine = await testEngine();
  try {
    const world = await engine.world();
    const client = dynamoClient({ endpoint: engine.endpoint });
    const stage: Stage = { world, ports: world.ports, tally: new Tally(), step: '', consumed: new Set() };
    meter(client, dynamoClient({ endpoint: engine.endpoint }), (cost) => count(stage, cost));
    Object.assign(stage, { ports: { ...world.ports, store: new DynamoStore(client, world.tableName) } });
    // Names as people give them: each started KB of an item counts.
    const agent = await world.agent({ name: 'dependency review', warmFor: 'PT10M' });
    const cadence = { cron: '*/5 * * * *', timezone: 'America/New_York' };
    const schedule = await world.schedule(agent.id, { name: 'review of all dependencies', cadence });

    await warmFeed(stage);
    const columns: Record<string, Tally> = {};
    columns['cold run'] = stage.tally = new Tally();
    const { runner, vmId } = await cold(stage, schedule, MONDAY_NOON + 5 * MINUTE);
    // It is kept by its heartbeats, which are counted apart.
    await keptWarm(stage, runner, MONDAY_NOON + 10 * MINUTE);
    columns['warm run'] = stage.tally = new Tally();
    await warm(stage, schedule, MONDAY_NOON + 10 * MINUTE, runner);
    columns["a VM's end"] = stage.tally = new Tally();
    world.observations.set(vmId, { status: 'terminated', detail: 'gone' });
    await called(stage, 'end of VM', () => observeVm(stage.ports, vmId));
    columns['a heartbeat'] = stage.tally = new Tally();
    const other = await cold(Object.assign(stage, { tally: new Tally() }), schedule, MONDAY_NOON + 15 * MINUTE);
    stage.tally = columns['a heartbeat'];
    await requested(stage, 'heartbeat', () => other.runner.beat([], stage.ports));
    // The API writes it to S3; its count of chunks and bytes is two reads and a write more.
    const chunk = new Tally();
    for (const [what, number] of [
      ['apiRequests', 1],
      ['lambda', 1],
      ['s3Puts', 1],
      ['dynamodbCalls', 2],
      ['writeUnits', 1],
      ['readUnits', 3],
    ] as const)
      chunk.add(what, number);
    columns['a log chunk'] = chunk;
    print(columns, prices);
    if (values.steps) printSteps(columns);
  } finally {
    await engine.stop();
  }
}

function print(columns: Readonly<Record<string, Tally>>, prices: Readonly<Record<string, number>>): void {
  const say = (line: string) => process.stdout.write(`${line}\n`);
  const names = Object.keys(columns);
  say(`| | ${names.join(' | ')} |\n|---|${names.map(() => '---:|').join('')}`);
  for (const [what, label] of Object.entries(LABELS))
    say(`| ${label} | ${names.map((name) => columns[name]?.counts.get(what) ?? 0).join(' | ')} |`);
  const heartbeats = HEARTBEATS * (columns['a heartbeat']?.dollars(prices) ?? 0);
  const without = names.map((name) =>
    name.endsWith(' run') ? ((columns[name]?.dollars(prices) ?? 0) - heartbeats).toFixed(1) : '',
  );
  say(`| $ per million | ${names.map((name) => columns[name]?.dollars(prices).toFixed(1)).join(' | ')} |`);
  say(`| $ per million, its ${HEARTBEATS} heartbeats as such apart | ${without.join(' | ')} |`);
}

function printSteps(columns: Readonly<Record<string, Tally>>): void {
  const say = (line: string) => process.stdout.write(`${line}\n`);
  for (const [name, { calls }] of Object.entries(columns)) {
    let step = '';
    for (const { step: at, cost } of calls) {
      if (step === '') say(`\n${name}`);
      if (at !== step) say(`  ${at}`);
      step = at;
      say(`    ${cost.kind === 'write' ? 'W' : 'R'} ${String(cost.units).padStart(3)}  ${cost.what}`);
      for (const { key, bytes, units, indexUnits } of cost.items)
        say(`           ${key}: ${bytes} bytes, ${units}${indexUnits > 0 ? ` + ${indexUnits} in indexes` : ''}`);
    }
  }
}
