/**
 * `npm run bench -- cost`: what a scheduled run costs beside its VM, counted. The real use cases play one run that launches
 * its VM (cold) and one that takes a warm one, on the local engine, which answers each call with the capacity units that
 * DynamoDB would count. Calls of Lambda, states of Step Functions and the rest are counted as they are made.
 *
 * Prices: eu-central-1's order of magnitude, in $ per million, as in `docs/cost.md`; put your own in with --prices FILE.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { dynamoClient } from '../adapters/aws/client.ts';
import { DynamoStore } from '../adapters/aws/store.ts';
import { appendToFeed } from '../core/feed/append.ts';
import { handleEvent } from '../core/notifications/fanOut.ts';
import type { Ports } from '../core/ports.ts';
import type { EventRow } from '../core/runs/model.ts';
import { fire } from '../core/schedules/fire.ts';
import { keys } from '../core/table/keys.ts';
import { asRow } from '../core/table/rows.ts';
import { awaitReady, dispatchRun, launchVm } from '../core/vms/provision.ts';
import { observeVm } from '../core/vms/release.ts';
import { ended, FakeRunner, running, runRow } from '../test/core/support.ts';
import { MONDAY_NOON, testEngine, type World } from '../test/support/world.ts';

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

  add(what: string, number = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + number);
  }

  dollars(prices: Readonly<Record<string, number>>): number {
    return [...this.counts].reduce((sum, [what, number]) => sum + number * (prices[what] ?? 0), 0);
  }
}

/** Every call says what it has consumed, which is added to the tally that is counted into just now. */
function meter(client: DynamoDBClient, into: () => Tally): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      Object.assign(args.input as object, { ReturnConsumedCapacity: 'TOTAL' });
      const result = await next(args);
      const { ConsumedCapacity: consumed } = result.output as { ConsumedCapacity?: Consumed | readonly Consumed[] };
      const isWrite = 'TransactItems' in args.input || 'Item' in args.input || 'UpdateExpression' in args.input;
      const units = [consumed ?? []].flat().reduce((sum, { CapacityUnits = 0 }) => sum + CapacityUnits, 0);
      into().add(isWrite ? 'writeUnits' : 'readUnits', units);
      into().add('dynamodbCalls');
      return result;
    },
    { step: 'initialize', name: 'meter' },
  );
}

interface Consumed {
  readonly CapacityUnits?: number;
}

interface Stage {
  readonly world: World;
  readonly ports: Ports;
  tally: Tally;
}

/** One call of a function: what it costs beside what it does. */
async function called<Result>(stage: Stage, work: () => Promise<Result>): Promise<Result> {
  stage.tally.add('lambda');
  return work();
}

/** Through the door of the API: a request, and the function behind it. */
async function requested<Result>(stage: Stage, work: () => Promise<Result>): Promise<Result> {
  stage.tally.add('apiRequests');
  return called(stage, work);
}

const events = async ({ world }: Stage, pk: string): Promise<readonly EventRow[]> => {
  const { items } = await world.ports.store.query({ pk, prefix: 'EVT#', limit: 100 });
  return items.map((item) => asRow<EventRow>(item)).filter((row) => row !== undefined);
};

/** From the clock's call to the run's placement. */
async function fired(stage: Stage, scheduleId: string, at: number): Promise<string> {
  stage.world.now = at;
  stage.tally.add('scheduler');
  const outcome = await called(stage, () => fire(stage.ports, { scheduleId, scheduledTime: at }));
  if (!('runId' in outcome)) throw new Error(`the fire started no run: ${JSON.stringify(outcome)}`);
  return outcome.runId;
}

/** The heartbeat that brings the start, the one that reports the work, and the one that reports its end. */
const HEARTBEATS = 3;
async function worked(stage: Stage, runner: FakeRunner, runId: string): Promise<void> {
  await requested(stage, () => runner.beat([], stage.ports));
  await requested(stage, () => runner.beat([running(runId)], stage.ports));
  await requested(stage, () => runner.beat([ended(runId)], stage.ports));
}

/** The stream's consumer is called once with what a run leaves, as it gathers for a second. */
async function consumed(stage: Stage, runId: string): Promise<void> {
  const rows = await events(stage, keys.run(runId).pk);
  await called(stage, async () => {
    for (const row of rows) await handleEvent(stage.ports, row);
    await appendToFeed(stage.ports, rows);
  });
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

const STATES = { LaunchVm: 1, AwaitReady: 1, DispatchRun: 1, Done: 1 } as const;

async function cold(stage: Stage, scheduleId: string, at: number) {
  const runId = await fired(stage, scheduleId, at);
  const input = { tenantId: stage.world.caller.tenantId, runId, attempt: 1 };
  for (const state of Object.values(STATES)) stage.tally.add('states', state);
  const { vmId } = await called(stage, () => launchVm(stage.ports, input));
  await called(stage, () => awaitReady(stage.ports, { ...input, vmId, taskToken: 'token' }));
  const runner = new FakeRunner(stage.world, vmId);
  await requested(stage, () => runner.register(stage.ports));
  await called(stage, () => dispatchRun(stage.ports, { ...input, vmId }));
  await worked(stage, runner, runId);
  await consumed(stage, runId);
  return { runId, vmId, runner };
}

async function warm(stage: Stage, scheduleId: string, at: number, runner: FakeRunner): Promise<void> {
  const runId = await fired(stage, scheduleId, at);
  if ((await runRow(stage.world, runId)).vmId !== runner.vmId) throw new Error('the run did not take the warm VM');
  await worked(stage, runner, runId);
  await consumed(stage, runId);
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
  const { values } = parseArgs({ args: [...args], options: { prices: { type: 'string' } } });
  const own = values.prices === undefined ? {} : (JSON.parse(readFileSync(values.prices, 'utf8')) as typeof PRICES);
  const prices = { ...PRICES, ...own };
  const engine = await testEngine();
  try {
    const world = await engine.world();
    const client = dynamoClient({ endpoint: engine.endpoint });
    const stage: Stage = { world, ports: world.ports, tally: new Tally() };
    meter(client, () => stage.tally);
    Object.assign(stage, { ports: { ...world.ports, store: new DynamoStore(client, world.tableName) } });
    const agent = await world.agent({ warmFor: 'PT10M' });
    const schedule = await world.schedule(agent.id);

    await warmFeed(stage);
    const columns: Record<string, Tally> = {};
    columns['cold run'] = stage.tally = new Tally();
    const { runner, vmId } = await cold(stage, schedule.id, MONDAY_NOON + 5 * MINUTE);
    // It is kept by its heartbeats, which are counted apart.
    world.now = MONDAY_NOON + 10 * MINUTE - 1000;
    await runner.beat([]);
    columns['warm run'] = stage.tally = new Tally();
    await warm(stage, schedule.id, MONDAY_NOON + 10 * MINUTE, runner);
    columns["a VM's end"] = stage.tally = new Tally();
    world.observations.set(vmId, { status: 'terminated', detail: 'gone' });
    await called(stage, () => observeVm(stage.ports, vmId));
    columns['a heartbeat'] = stage.tally = new Tally();
    const other = await cold(Object.assign(stage, { tally: new Tally() }), schedule.id, MONDAY_NOON + 15 * MINUTE);
    stage.tally = columns['a heartbeat'];
    await requested(stage, () => other.runner.beat([], stage.ports));
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
