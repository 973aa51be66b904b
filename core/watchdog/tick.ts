/**
 * One tick of the watchdog: reads what is due for a check, oldest first, and hands each row to its rule. One row's
 * failure is reported and costs the others nothing. After a gap of its own (a deploy, a closed laptop) it gives no
 * verdict for one lease, because then everything looks silent.
 */
import type { Ports } from '../ports.ts';
import type { RunRow } from '../runs/model.ts';
import type { ScheduleRow } from '../schedules/model.ts';
import { publishProof } from '../system.ts';
import { type CheckKind, checkPartition, keys } from '../table/keys.ts';
import type { Item, Key } from '../table/model.ts';
import { asRow, type RowBase } from '../table/rows.ts';
import type { VmRow } from '../vms/model.ts';
import { moveCheck } from './checks.ts';
import type { Action, RuleContext } from './rule.ts';
import { runRule } from './runRules.ts';
import { scheduleRule } from './scheduleRules.ts';
import { vmRule } from './vmRules.ts';

export interface TickReport {
  readonly looked: number;
  readonly actions: readonly Action[];
  readonly failures: number;
  readonly holding: boolean;
}

interface WatchdogRow extends RowBase {
  readonly at: number;
  readonly detail: { readonly holdUntil?: number };
}

export interface TickOptions {
  /** Who ticks, for the status page: `candor dev pid 123`, or the function's name. */
  readonly owner: string;
  /** Stops taking up new rows after this long; the rest stays due. */
  readonly budgetMs: number;
}

const CONCURRENCY = 8;

export async function tick(ports: Ports, options: TickOptions): Promise<TickReport> {
  const startedAt = ports.time.now();
  const holdUntil = await holdAfterGap(ports, startedAt);
  const holding = startedAt < holdUntil;
  const actions: Action[] = [];
  let looked = 0;
  let failures = 0;
  for (const key of await dueKeys(ports, startedAt)) {
    if (ports.time.now() - startedAt > options.budgetMs) break;
    looked++;
    let item: Item | undefined;
    try {
      item = await ports.store.get(key);
      const action = item === undefined ? undefined : await look({ ports, now: ports.time.now(), holding }, item);
      if (action !== undefined) {
        actions.push(action);
        ports.log.info('watchdog.recovered', { ...action });
      }
    } catch (error) {
      failures++;
      ports.log.error('watchdog.item_failed', {
        key: key.pk,
        error: error instanceof Error ? error.message : String(error),
      });
      await postpone(ports, item, startedAt);
    }
  }
  await publishProof(ports, 'watchdog', options.owner, { looked, recovered: actions.length, failures, holdUntil });
  return { looked, actions, failures, holding };
}

/** What cannot be handled goes behind what is due: a batch full of it must not hide the rest at every tick. */
async function postpone(ports: Ports, item: Item | undefined, now: number): Promise<void> {
  if (typeof item?.version !== 'number') return;
  const checkAt = now + ports.config.watchdogIntervalSeconds * 1000;
  await moveCheck(ports, { ...item, version: item.version }, checkAt).catch((error: unknown) =>
    ports.log.error('watchdog.postpone_failed', { key: item.pk, error: String(error) }),
  );
}

function look(context: RuleContext, item: Item): Promise<Action | undefined> {
  if (item.pk.startsWith('RUN#')) return runRule(context, asRow<RunRow>(item) as RunRow);
  if (item.pk.startsWith('VM#')) return vmRule(context, asRow<VmRow>(item) as VmRow);
  if (item.pk.startsWith('SCH#')) return scheduleRule(context, asRow<ScheduleRow>(item) as ScheduleRow);
  return Promise.reject(new Error(`no rule for ${item.pk}`));
}

const KINDS: readonly CheckKind[] = ['RUN', 'VM', 'SCH'];

/** What is due, taken from every kind and shard in turn, so that a flood of one starves no other. */
async function dueKeys(ports: Ports, now: number): Promise<readonly Key[]> {
  const { checkShards, watchdogBatch } = ports.config;
  const partitions = KINDS.flatMap((kind) =>
    Array.from({ length: checkShards }, (_, shard) => checkPartition(kind, shard)),
  );
  const queues: Key[][] = [];
  for (let start = 0; start < partitions.length; start += CONCURRENCY) {
    const pages = await Promise.all(
      partitions
        .slice(start, start + CONCURRENCY)
        .map((partition) => ports.store.queryIndex({ index: 'checks', partition, to: now, limit: watchdogBatch })),
    );
    queues.push(...pages.map((page) => [...page.items]));
  }
  const due: Key[] = [];
  for (let round = 0; queues.some((queue) => queue.length > round); round++)
    for (const queue of queues) {
      const key = queue[round];
      if (key !== undefined) due.push(key);
    }
  return due;
}

/** Until when no verdict may be given. A first tick ever has missed nothing. */
async function holdAfterGap(ports: Ports, now: number): Promise<number> {
  const row = asRow<WatchdogRow>(await ports.store.get(keys.system('watchdog')));
  if (row === undefined) return 0;
  const { watchdogIntervalSeconds, leaseSeconds } = ports.config;
  const gap = now - row.at > (2 * watchdogIntervalSeconds + 1) * 1000;
  return gap ? now + leaseSeconds * 1000 : (row.detail.holdUntil ?? 0);
}
