/**
 * `npm run bench -- watchdog [--million] [--count N]`: one tick over 10^3 to 10^5 (10^6) live runs, of which 0, 100 and 1,000
 * are past their start deadline, and 10,000 that cannot move stand among them: half wait for a limit, half cannot be read.
 * At last the same crowd with the time that the deployed function has.
 * Consumed units as the engine counts them, calls and time; the ratio is to the smallest table in the same run.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { dynamoClient } from '../adapters/aws/client.ts';
import { DynamoStore } from '../adapters/aws/store.ts';
import { ensureTable } from '../adapters/aws/table.ts';
import { startEngine } from '../adapters/local/engine.ts';
import { systemTime } from '../adapters/system/time.ts';
import { ensurePrincipal, LOCAL_ADMIN, LOCAL_TENANT } from '../core/access/principals.ts';
import { createAgent } from '../core/agents/service.ts';
import { AgentCreate } from '../core/contract/agents.ts';
import { timeOrderedId } from '../core/ids.ts';
import { agentLimitId } from '../core/limits/model.ts';
import type { Ports } from '../core/ports.ts';
import type { RunRow } from '../core/runs/model.ts';
import { createRun } from '../core/runs/service.ts';
import * as keys from '../core/table/itemKeys.ts';
import { checkPartition, shardOf } from '../core/table/keys.ts';
import type { Item } from '../core/table/model.ts';
import { tick } from '../core/watchdog/tick.ts';
import { benchPorts, countedStore, quiet } from './support.ts';

const TABLE = 'bench';
const STUCK = 10_000;
const DUE = [0, 100, 1000];
const DAY_MS = 86_400_000;
const BUDGET_MS = 600_000;
/** Of the function: its timeout of 55 s without what it keeps for its end. */
const DEPLOYED_BUDGET_MS = 45_000;
/** Later than what could not move is looked at again, and no gap for the watchdog. */
const AGAIN_MS = 110_000;

interface Measured {
  readonly due: number;
  readonly readUnits: number;
  readonly writeUnits: number;
  readonly calls: number;
  readonly ms: number;
}

export async function benchWatchdog(args: readonly string[]): Promise<void> {
  const at = args.indexOf('--count');
  const sizes =
    at >= 0 ? [Number(args[at + 1])] : [1000, 10_000, 100_000, ...(args.includes('--million') ? [1_000_000] : [])];
  let smallest: readonly Measured[] | undefined;
  for (const size of sizes) {
    const folder = await mkdtemp(path.join(tmpdir(), 'candor-bench-'));
    const engine = await startEngine({ dbPath: path.join(folder, 'bench.db'), log: quiet });
    const startedAt = performance.now();
    try {
      const measured = await measure(engine.endpoint, size);
      smallest ??= measured;
      print(size, measured, smallest);
      process.stdout.write(
        `  in all ${((performance.now() - startedAt) / 1000).toFixed(0)} s, nearly all of it to fill the table\n`,
      );
    } finally {
      await engine.stop();
      await rm(folder, { recursive: true, force: true });
    }
  }
}

function print(size: number, measured: readonly Measured[], smallest: readonly Measured[]): void {
  process.stdout.write(`${size} live runs, and ${STUCK} that cannot move\n`);
  for (const [index, { due, readUnits, writeUnits, calls, ms }] of measured.entries()) {
    const base = smallest[index];
    const ratio =
      base === undefined || base.calls === 0
        ? ''
        : `  calls ${(calls / base.calls).toFixed(2)}x, read units ${(readUnits / base.readUnits).toFixed(2)}x the smallest`;
    process.stdout.write(
      `  ${String(due).padStart(6)} due  ${readUnits.toFixed(1).padStart(9)} read units  ${writeUnits.toFixed(1).padStart(9)} write units  ${String(calls).padStart(6)} calls  ${ms.toFixed(0).padStart(7)} ms${ratio}\n`,
    );
  }
}

async function measure(endpoint: string, size: number): Promise<readonly Measured[]> {
  const client = dynamoClient({ endpoint });
  await ensureTable(client, TABLE);
  const units = countUnits(client);
  const counted = countedStore(new DynamoStore(client, TABLE));
  // Stands still but between ticks: on a slow machine nothing else is due in the end than on a fast one.
  const clock = { now: Date.now() };
  const base = benchPorts(counted.store, { ...systemTime, now: () => clock.now });
  // What a run that is given up lets go of answers at once: it is another system's time.
  const ports: Ports = {
    ...base,
    workflow: { ...base.workflow, stop: async () => {} },
    fleet: { ...base.fleet, list: async () => ({ items: [] }) },
  };
  await ensurePrincipal(counted.store, LOCAL_TENANT, LOCAL_ADMIN, 'Admin');
  const rows = await templates(ports, clock.now);
  await copies(ports, rows.running, size, clock.now + DAY_MS);
  const results: Measured[] = [];
  // Those that cannot move are due once, together with others that can: it is one tick that meets them all.
  const { now } = clock;
  await copies(ports, rows.waiting, STUCK / 2, now - 1000);
  await copies(ports, { ...rows.late, schemaVersion: 99 } as RunRow, STUCK / 2, now - 1000);
  await copies(ports, rows.late, 100, now - 500);
  const first = await measured(ports, 100 + STUCK, counted.calls, units);
  process.stdout.write(
    `  with all ${STUCK} that cannot move due as well: ${first.recovered} of 100 others were seen to in that tick, ${first.result.ms.toFixed(0)} ms\n`,
  );
  for (const due of DUE) {
    clock.now += 1000;
    await copies(ports, rows.late, due, clock.now - 500);
    const { result, recovered } = await measured(ports, due, counted.calls, units);
    if (recovered !== due) throw new Error(`${recovered} of ${due} were seen to`);
    results.push(result);
  }
  clock.now += AGAIN_MS;
  await copies(ports, rows.late, 100, clock.now - 500);
  await asDeployed(ports, clock);
  return results;
}

/** All of it once more, by a clock that runs: the 100 are the least overdue, so they come last. */
async function asDeployed(ports: Ports, clock: { now: number }): Promise<void> {
  let seenTo = 0;
  for (let ticks = 1; ticks <= 10; ticks++) {
    const startedAt = performance.now();
    const time = { ...ports.time, now: () => clock.now + performance.now() - startedAt };
    const report = await tick({ ...ports, time }, { owner: 'bench', budgetMs: DEPLOYED_BUDGET_MS });
    const tookMs = performance.now() - startedAt;
    seenTo += report.actions.filter(({ rule }) => rule === 'start_timeout').length;
    process.stdout.write(
      `  with the deployed budget of ${DEPLOYED_BUDGET_MS / 1000} s, tick ${ticks}: ${report.looked} looked at in ${tookMs.toFixed(0)} ms${report.leftOver ? ', more left over' : ''}; ${seenTo} of 100 others seen to\n`,
    );
    if (seenTo >= 100) return;
    clock.now += Math.max(60_000, tookMs);
  }
}

async function measured(ports: Ports, due: number, calls: () => number, units: Units) {
  const before = { calls: calls(), read: units.read, write: units.write };
  const startedAt = performance.now();
  const report = await tick(ports, { owner: 'bench', budgetMs: BUDGET_MS });
  const ms = performance.now() - startedAt;
  const result: Measured = {
    due,
    readUnits: units.read - before.read,
    writeUnits: units.write - before.write,
    calls: calls() - before.calls,
    ms,
  };
  return { result, recovered: report.actions.filter(({ rule }) => rule === 'start_timeout').length };
}

/** One run of each kind, as the use cases make them: at work, waiting for a limit, and late. */
async function templates(ports: Ports, now: number) {
  const caller = { tenantId: LOCAL_TENANT, principalId: LOCAL_ADMIN };
  const make = async (name: string, limits: object) => {
    const agent = await createAgent(ports, caller, AgentCreate.parse({ name, command: ['true'], limits }));
    return agent.id;
  };
  const row = async (agentId: string) => {
    const { id } = await createRun(ports, caller, agentId, {});
    return (await ports.store.get(keys.run(id))) as unknown as RunRow;
  };
  const free = await make('free', {});
  const limited = await make('limited', { maxConcurrentRuns: 1 });
  await row(limited);
  const late = await row(free);
  const waiting = await row(limited);
  if (waiting.waiting?.limit !== agentLimitId(limited)) throw new Error('the template does not wait');
  const running: RunRow = { ...late, status: 'running', vmId: 'vm_bench', startedAt: now, deadlineAt: now + DAY_MS };
  return { running, waiting, late: { ...late, deadlineAt: now - 1 } };
}

let made = 0;

/** A hundred at a time: a million of them at once would not fit into this process. */
async function copies(ports: Ports, template: RunRow, count: number, checkAt: number): Promise<void> {
  const { checkShards } = ports.config;
  for (let start = 0; start < count; start += 100) {
    const items = Array.from({ length: Math.min(100, count - start) }, (): Item => {
      const entropy = Buffer.alloc(10);
      entropy.writeUInt32BE(++made, 6);
      const id = timeOrderedId('run_', template.createdAt, entropy);
      return {
        ...(template as unknown as Item),
        ...keys.run(id),
        id,
        checkIn: checkPartition('RUN', shardOf(id, checkShards)),
        checkAt,
        listAt: id,
      };
    });
    await ports.store.transact(items.map((item) => ({ kind: 'put', item })));
  }
}

interface Units {
  read: number;
  write: number;
}

/** What the engine says that each call consumed. */
function countUnits(client: DynamoDBClient): Units {
  const units: Units = { read: 0, write: 0 };
  const { send } = client;
  client.send = (async (command: {
    readonly input: Record<string, unknown>;
    readonly constructor: { readonly name: string };
  }) => {
    command.input.ReturnConsumedCapacity = 'TOTAL';
    const answer = (await Reflect.apply(send, client, [command])) as { readonly ConsumedCapacity?: unknown };
    const consumed = [answer.ConsumedCapacity ?? []].flat() as readonly { readonly CapacityUnits?: number }[];
    const sum = consumed.reduce((all, each) => all + (each.CapacityUnits ?? 0), 0);
    if (/^(Get|BatchGet|Query)/.test(command.constructor.name)) units.read += sum;
    else units.write += sum;
    return answer;
  }) as unknown as typeof send;
  return units;
}
