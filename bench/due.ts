/**
 * `npm run bench -- due [--peer] [--count N]`: lateness of 1,000 and 10,000 schedules that are due in the same second on one machine,
 * store calls and CPU per fire. The floor is the raw batched transactions of the same items through the bare SDK on the
 * same engine, in the same run. With `--peer` BullMQ on Redis does the same number of delayed jobs, without a ledger.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type DynamoDBClient, type TransactWriteItem, TransactWriteItemsCommand } from '@aws-sdk/client-dynamodb';
import { dynamoClient } from '../adapters/aws/client.ts';
import { DynamoStore } from '../adapters/aws/store.ts';
import { ensureTable } from '../adapters/aws/table.ts';
import { LocalClock } from '../adapters/local/clock.ts';
import { startEngine } from '../adapters/local/engine.ts';
import { systemTime } from '../adapters/system/time.ts';
import { ensurePrincipal, LOCAL_ADMIN, LOCAL_TENANT } from '../core/access/principals.ts';
import { createAgent } from '../core/agents/service.ts';
import { AgentCreate } from '../core/contract/agents.ts';
import { ScheduleCreate } from '../core/contract/schedules.ts';
import { timeOrderedId } from '../core/ids.ts';
import type { Ports } from '../core/ports.ts';
import { fire } from '../core/schedules/fire.ts';
import { fireMany } from '../core/schedules/fireMany.ts';
import type { ScheduleRow } from '../core/schedules/model.ts';
import { createSchedule } from '../core/schedules/service.ts';
import * as keys from '../core/table/itemKeys.ts';
import { checkPartition } from '../core/table/keys.ts';
import type { Item } from '../core/table/model.ts';
import { benchPeer } from './peer.ts';
import { percentile } from './stats.ts';
import { benchPorts, type CountedStore, countedStore, quiet } from './support.ts';

const TABLE = 'bench';
const FIRES_PER_TRANSACTION = 25;
const CONCURRENT = 4;
const AHEAD_MS = 1500;

export async function benchDue(args: readonly string[]): Promise<void> {
  const only = args.indexOf('--count');
  for (const count of only < 0 ? [1000, 10_000] : [Number(args[only + 1])]) {
    const folder = await mkdtemp(path.join(tmpdir(), 'candor-bench-'));
    const engine = await startEngine({ dbPath: path.join(folder, 'bench.db'), log: quiet });
    try {
      await measure(engine.endpoint, count);
    } finally {
      await engine.stop();
      await rm(folder, { recursive: true, force: true });
    }
    if (args.includes('--peer')) await benchPeer(count);
  }
}

async function measure(endpoint: string, count: number): Promise<void> {
  const client = dynamoClient({ endpoint });
  await ensureTable(client, TABLE);
  const counted = countedStore(new DynamoStore(client, TABLE));
  const ports: Ports = { ...benchPorts(counted.store, systemTime) };
  await ensurePrincipal(counted.store, LOCAL_TENANT, LOCAL_ADMIN, 'Admin');
  const template = await templateRow(ports);
  // A small round first, so that neither side is measured while it compiles.
  await ours(ports, client, counted, template, 500);
  await floor(dynamoClient({ endpoint }), client, ports, template, 500);
  const candor = await ours(ports, client, counted, template, count);
  const raw = await floor(dynamoClient({ endpoint }), client, ports, template, count);
  const line = (name: string, seconds: number, cpu: number) =>
    `  ${name.padEnd(7)} ${(count / seconds).toFixed(0).padStart(6)}/s  ${seconds.toFixed(2)} s in all  CPU ${((cpu * 1000) / count).toFixed(2)} ms per fire\n`;
  process.stdout.write(
    `${count} schedules due in one second, engine on disk\n${line('floor', raw.seconds, raw.cpuSeconds)}${line('candor', candor.seconds, candor.cpuSeconds)}`,
  );
  process.stdout.write(
    `  candor: lateness p50 ${(percentile(candor.lateness, 0.5) / 1000).toFixed(2)} s, p99 ${(percentile(candor.lateness, 0.99) / 1000).toFixed(2)} s; ${(candor.calls / count).toFixed(3)} store calls per fire\n` +
      `  ratio to the floor ${(candor.seconds / raw.seconds).toFixed(2)} (goal 1.30 or less)\n`,
  );
}

async function templateRow(ports: Ports): Promise<ScheduleRow> {
  const caller = { tenantId: LOCAL_TENANT, principalId: LOCAL_ADMIN };
  const agent = await createAgent(ports, caller, AgentCreate.parse({ name: 'bench', command: ['true'] }));
  const request = { name: 'bench', cadence: { every: 'P1D' }, input: { work: 'bench' } };
  const { id } = await createSchedule(ports, caller, agent.id, ScheduleCreate.parse(request));
  return (await ports.store.get(keys.schedule(id))) as unknown as ScheduleRow;
}

let copies = 0;

/** Many schedules like the template, due at one instant (never before it: `checkAt` is the index's key). */
async function copiesDueAt(
  ports: Ports,
  template: ScheduleRow,
  count: number,
  due: number,
): Promise<readonly string[]> {
  const ids: string[] = [];
  const items: Item[] = [];
  const [revision] = template.revisions;
  if (revision === undefined) throw new Error('the template has no revision');
  const cadence = { kind: 'every', everySeconds: 86_400, startAt: due } as const;
  for (let index = 0; index < count; index++) {
    const entropy = Buffer.alloc(10);
    entropy.writeUInt32BE(++copies, 6);
    const id = timeOrderedId('sch_', due, entropy);
    ids.push(id);
    items.push({
      ...(template as unknown as Item),
      ...keys.schedule(id),
      id,
      cadence,
      revisions: [{ ...revision, cadence, from: due - 60_000 }] as unknown as Item['revisions'],
      decidedThrough: due - 60_000,
      settledThrough: due - 60_000,
      clock: { status: 'synced', specVersion: 1 },
      checkIn: checkPartition('SCH', 0),
      checkAt: due,
      listAt: id,
    });
  }
  for (let start = 0; start < items.length; start += 100)
    await ports.store.transact(items.slice(start, start + 100).map((item) => ({ kind: 'put', item })));
  return ids;
}

interface Result {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

async function ours(ports: Ports, client: DynamoDBClient, counted: CountedStore, template: ScheduleRow, count: number) {
  const due = Math.ceil((Date.now() + AHEAD_MS + count / 2) / 1000) * 1000;
  await copiesDueAt(ports, template, count, due);
  const lateness: number[] = [];
  const done = Promise.withResolvers<void>();
  const store = {
    ...counted.store,
    transact: async (writes: Parameters<typeof counted.store.transact>[0]) => {
      await counted.store.transact(writes);
      for (const write of writes)
        if (write.kind === 'put' && write.item.sk.startsWith('OCC#')) lateness.push(Date.now() - due);
      if (lateness.length >= count) done.resolve();
    },
  };
  const watched: Ports = { ...ports, store };
  const clock = new LocalClock({
    store,
    time: systemTime,
    log: quiet,
    checkShards: 1,
    fire: (delivery) => fire(watched, delivery),
    fireMany: (rows) => fireMany(watched, rows),
  });
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - Date.now() - 200)));
  const before = counted.calls();
  const cpu = process.cpuUsage();
  clock.start();
  await done.promise;
  const used = process.cpuUsage(cpu);
  const seconds = (Date.now() - due) / 1000;
  await clock.stop();
  return { seconds, cpuSeconds: (used.user + used.system) / 1e6, lateness, calls: counted.calls() - before, client };
}

/** The same transactions, captured from one real group and aimed at other schedules, prepared beforehand. */
async function floor(
  raw: DynamoDBClient,
  client: DynamoDBClient,
  ports: Ports,
  template: ScheduleRow,
  count: number,
): Promise<Result> {
  const due = Math.floor(Date.now() / 1000) * 1000 - 1000;
  const [sample = ''] = await copiesDueAt(ports, template, 1, due);
  const captured = await capture(client, () => fire(ports, { scheduleId: sample, scheduledTime: due }));
  // Far in the future: no clock finds these, they are only written to.
  const ids = await copiesDueAt(ports, template, count, due + 86_400_000 * 300);
  const fires = ids.map((id, index) => retarget(captured, sample, id, index));
  const groups: TransactWriteItem[][] = [];
  for (let start = 0; start < fires.length; start += FIRES_PER_TRANSACTION)
    groups.push(fires.slice(start, start + FIRES_PER_TRANSACTION).flat());
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: CONCURRENT }, async () => {
      for (let group = groups.pop(); group !== undefined; group = groups.pop())
        await raw.send(new TransactWriteItemsCommand({ TransactItems: group }));
    }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  const used = process.cpuUsage(cpu);
  return { seconds, cpuSeconds: (used.user + used.system) / 1e6 };
}

async function capture(client: DynamoDBClient, act: () => Promise<unknown>): Promise<readonly TransactWriteItem[]> {
  let items: readonly TransactWriteItem[] = [];
  const { send } = client;
  client.send = ((command: unknown, ...rest: unknown[]) => {
    if (command instanceof TransactWriteItemsCommand) items = command.input.TransactItems ?? [];
    return Reflect.apply(send, client, [command, ...rest]);
  }) as typeof send;
  await act();
  client.send = send;
  return items;
}

function retarget(items: readonly TransactWriteItem[], from: string, to: string, index: number): TransactWriteItem[] {
  const text = JSON.stringify(items)
    .replaceAll(from, to)
    .replaceAll(/run_[0-9a-z]{26}/g, `run_${to.slice(4, 20)}${index}`);
  return JSON.parse(text) as TransactWriteItem[];
}
