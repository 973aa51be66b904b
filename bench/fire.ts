/**
 * `npm run bench -- fire`: fires per second and latency from delivery to committed run, on the engine in memory and on
 * disk. The floor is the same read and the same transaction with constant items through the bare SDK, none of our code;
 * both alternate in small batches in the same run, so that a slow moment of the machine hits both.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  BatchGetItemCommand,
  type DynamoDBClient,
  TransactWriteItemsCommand,
  type TransactWriteItemsCommandInput,
} from '@aws-sdk/client-dynamodb';
import { dynamoClient } from '../adapters/aws/client.ts';
import { DynamoStore } from '../adapters/aws/store.ts';
import { ensureTable } from '../adapters/aws/table.ts';
import { startEngine } from '../adapters/local/engine.ts';
import { systemTime } from '../adapters/system/time.ts';
import { ensurePrincipal, LOCAL_ADMIN, LOCAL_TENANT } from '../core/access/principals.ts';
import { createAgent } from '../core/agents/service.ts';
import { AgentCreate } from '../core/contract/agents.ts';
import { ScheduleCreate } from '../core/contract/schedules.ts';
import type { Ports } from '../core/ports.ts';
import { fire } from '../core/schedules/fire.ts';
import { createSchedule } from '../core/schedules/service.ts';
import { milliseconds, percentile } from './stats.ts';
import { benchPorts, countedStore, quiet } from './support.ts';

const TABLE = 'bench';
const BATCH = 50;
const ROUNDS = 12;
const WARM_UP_ROUNDS = 2;

interface Samples {
  readonly times: number[];
  seconds: number;
}

export async function benchFire(): Promise<void> {
  process.stdout.write(
    `fire: ${ROUNDS} rounds of ${BATCH}, floor and Candor alternating; times from delivery to committed run\n`,
  );
  const folder = await mkdtemp(path.join(tmpdir(), 'candor-bench-'));
  try {
    await benchOn('memory', undefined);
    await benchOn('disk', path.join(folder, 'bench.db'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function benchOn(label: string, dbPath: string | undefined): Promise<void> {
  const engine = await startEngine({ dbPath, log: quiet });
  try {
    const client = dynamoClient({ endpoint: engine.endpoint });
    await ensureTable(client, TABLE);
    for (const concurrency of [1, 16]) {
      const { floor, ours, callsPerFire } = await measure(client, engine.endpoint, concurrency);
      report(label, concurrency, floor, ours, callsPerFire);
    }
  } finally {
    await engine.stop();
  }
}

async function measure(client: DynamoDBClient, endpoint: string, concurrency: number) {
  const counted = countedStore(new DynamoStore(client, TABLE));
  const world = { now: Date.UTC(2027, 2, 1, 12, 0, 0) };
  const ports = benchPorts(counted.store, { now: () => world.now, sleep: systemTime.sleep });
  await ensurePrincipal(counted.store, LOCAL_TENANT, LOCAL_ADMIN, 'Admin');
  const caller = { tenantId: LOCAL_TENANT, principalId: LOCAL_ADMIN };
  const agent = await createAgent(
    ports,
    caller,
    AgentCreate.parse({ name: `bench ${endpoint} ${concurrency}`, command: ['true'] }),
  );
  const floorClient = dynamoClient({ endpoint });
  const floor: Samples = { times: [], seconds: 0 };
  const ours: Samples = { times: [], seconds: 0 };
  let calls = 0;
  let fires = 0;
  for (let round = 0; round < ROUNDS + WARM_UP_ROUNDS; round++) {
    world.now = Date.UTC(2027, 2, 1, 12, 0, 0);
    const ids = await schedules(ports, caller, agent.id, round, 2 * BATCH);
    world.now += 5 * 60_000 + 100;
    const due = world.now - 100;
    const deliver = (scheduleId: string) =>
      fire(ports, { scheduleId, scheduledTime: due, specVersion: 1, agentId: agent.id, principalId: LOCAL_ADMIN });
    const template = await captureTransaction(client, () => deliver(ids[0] ?? ''));
    const prepared = ids
      .slice(BATCH)
      .map((id, index) => retarget(template, ids[0] ?? '', id, `${round}-${concurrency}-${index}`));
    const read = readOf(agent.id);
    const floorRound = await timed(prepared, concurrency, async ({ id, input }) => {
      await floorClient.send(new BatchGetItemCommand(read(id)));
      await floorClient.send(new TransactWriteItemsCommand(input));
    });
    const before = counted.calls();
    const oursRound = await timed(ids.slice(1, BATCH), concurrency, deliver);
    if (round < WARM_UP_ROUNDS) continue;
    calls += counted.calls() - before;
    fires += BATCH - 1;
    add(floor, floorRound);
    add(ours, oursRound);
  }
  return { floor, ours, callsPerFire: calls / fires };
}

const add = (into: Samples, round: Samples) => {
  into.times.push(...round.times);
  into.seconds += round.seconds;
};

async function timed<T>(
  work: readonly T[],
  concurrency: number,
  each: (item: T) => Promise<unknown>,
): Promise<Samples> {
  const times: number[] = [];
  const queue = [...work];
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (let item = queue.pop(); item !== undefined; item = queue.pop()) {
        const from = performance.now();
        await each(item);
        times.push(performance.now() - from);
      }
    }),
  );
  return { times, seconds: (performance.now() - startedAt) / 1000 };
}

async function schedules(
  ports: Ports,
  caller: { tenantId: string; principalId: string },
  agentId: string,
  round: number,
  count: number,
) {
  const request = { cadence: { cron: '*/5 * * * *', timezone: 'UTC' }, input: { work: 'bench' } };
  const ids: string[] = [];
  for (let index = 0; index < count; index++) {
    const created = await createSchedule(
      ports,
      caller,
      agentId,
      ScheduleCreate.parse({ ...request, name: `bench ${round} ${index}` }),
    );
    ids.push(created.id);
  }
  return ids;
}

/** What one fire really sends, taken off the client: the floor sends the same. */
async function captureTransaction(
  client: DynamoDBClient,
  act: () => Promise<unknown>,
): Promise<TransactWriteItemsCommandInput> {
  let captured: TransactWriteItemsCommandInput | undefined;
  const { send } = client;
  client.send = ((command: unknown, ...rest: unknown[]) => {
    if (command instanceof TransactWriteItemsCommand) captured = command.input;
    return Reflect.apply(send, client, [command, ...rest]);
  }) as typeof send;
  await act();
  client.send = send;
  if (captured === undefined) throw new Error('the fire sent no transaction');
  return captured;
}

/** The captured transaction, aimed at another schedule and at a run of its own. */
function retarget(template: TransactWriteItemsCommandInput, from: string, to: string, unique: string) {
  const text = JSON.stringify(template)
    .replaceAll(from, to)
    .replaceAll(/run_[0-9a-z]{26}/g, `run_${unique}`);
  return { id: to, input: JSON.parse(text) as TransactWriteItemsCommandInput };
}

const readOf = (agentId: string) => (scheduleId: string) => ({
  RequestItems: {
    [TABLE]: {
      ConsistentRead: true,
      Keys: [`SCH#${scheduleId}`, `PRN#${LOCAL_ADMIN}`, `AGT#${agentId}`].map((pk) => ({
        pk: { S: pk },
        sk: { S: 'META' },
      })),
    },
  },
});

function report(label: string, concurrency: number, floor: Samples, ours: Samples, callsPerFire: number): void {
  const line = (name: string, samples: Samples) =>
    `  ${name.padEnd(7)} ${(samples.times.length / samples.seconds).toFixed(0).padStart(5)}/s  p50 ${milliseconds(percentile(samples.times, 0.5))}  p99 ${milliseconds(percentile(samples.times, 0.99))}\n`;
  const ratio = ours.seconds / ours.times.length / (floor.seconds / floor.times.length);
  process.stdout.write(`${label}, ${concurrency} at once\n${line('floor', floor)}${line('candor', ours)}`);
  process.stdout.write(
    `  ${callsPerFire.toFixed(2)} store calls per fire; ratio of mean times ${ratio.toFixed(2)} (goal 1.30 or less)\n`,
  );
}
