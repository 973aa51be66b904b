/**
 * The audit, slice by slice: it goes through everything that is not at rest, one page after the other, and writes down after
 * each how far it has come, together with what it found. So a call does bounded work, whoever comes next goes on from
 * there, and two at once do not count anything twice.
 */
import { GuardFailed } from '../errors.ts';
import type { Ports } from '../ports.ts';
import type { RunRow } from '../runs/model.ts';
import type { ScheduleRow } from '../schedules/model.ts';
import { publishProof } from '../system.ts';
import * as keys from '../table/itemKeys.ts';
import { checkPartition } from '../table/keys.ts';
import { type Condition, eq, guard, type Item, type Write } from '../table/model.ts';
import { asItem, asRow, SCHEMA_VERSION } from '../table/rows.ts';
import type { VmRow } from '../vms/model.ts';
import type { RuleContext } from '../watchdog/rule.ts';
import { auditRun, auditVm } from './liveThings.ts';
import {
  type Audited,
  type AuditFinding,
  type AuditState,
  type Checked,
  countsOf,
  FINDINGS_KEPT,
  firstState,
  freshCycle,
  NO_COUNTS,
  NO_TENANT,
  NOTHING_CHECKED,
  STAGES,
  type TenantAuditRow,
} from './model.ts';
import { auditSchedule } from './schedules.ts';
import { auditClocks, auditInstances } from './strays.ts';

export interface AuditOptions {
  readonly owner: string;
  /** Takes up no further page after this long. */
  readonly budgetMs: number;
  /** A new cycle begins this long after the last one was through. */
  readonly intervalMs?: number;
  /** How far back the ledger is compared at least; further where the last cycle began before that. */
  readonly lookbackMs?: number;
}

/** `resting`: the next cycle is not due yet. `going_on`: the time was up, or another one is at it. */
export type AuditProgress = 'resting' | 'going_on' | 'through';

const INTERVAL_MS = 3_600_000;
const LOOKBACK_MS = 3 * INTERVAL_MS;
/** With the state itself, and a tenant's row for each: well within one transaction. */
const PAGE = 25;
const LIMITS_KEPT = 500;

export async function auditSlice(ports: Ports, options: AuditOptions): Promise<AuditProgress> {
  const until = ports.time.now() + options.budgetMs;
  const stored = asRow<AuditState>(await ports.store.get(keys.system('audit.state')));
  let state = stored ?? firstState(ports.time.now());
  const { intervalMs = INTERVAL_MS } = options;
  const isOver = state.completed?.cycle === state.cycle;
  if (isOver && ports.time.now() - (state.completed?.endedAt ?? 0) < intervalMs) return 'resting';
  if (isOver) state = nextCycle(state, ports.time.now());
  do {
    const page = await auditPage(ports, state, lookback(ports, state, options.lookbackMs ?? LOOKBACK_MS));
    const next = await writeDown(ports, state, page);
    if (next === undefined) return 'going_on';
    for (const { kind, tenantId, subject, detail, did } of page.findings)
      ports.log.warn('audit.found', { kind, tenantId, subject, detail, did });
    state = next;
    if (state.completed?.cycle === state.cycle) {
      await publish(ports, state, options.owner, intervalMs);
      return 'through';
    }
  } while (ports.time.now() <= until);
  return 'going_on';
}

/**
 * Back to where the last cycle began, with the grace that its youngest occurrences had then: however long cycles take, and
 * however long there was none, what is due is compared once.
 */
function lookback(
  { config, time }: Pick<Ports, 'config' | 'time'>,
  { completed }: AuditState,
  leastMs: number,
): number {
  if (completed === undefined) return leastMs;
  return Math.max(leastMs, time.now() - completed.startedAt + config.overdueGraceSeconds * 1000);
}

const nextCycle = (state: AuditState, now: number): AuditState => {
  const { after: _none, ...rest } = state;
  return {
    ...rest,
    ...freshCycle(now),
    cycle: state.cycle + 1,
  };
};

interface AuditedPage {
  readonly findings: readonly AuditFinding[];
  /** What was looked at, tenant by tenant. */
  readonly checked: ReadonlyMap<string, Checked>;
  /** The tenants of what could not be looked at, each as often as it was met. */
  readonly unread: readonly string[];
  readonly limits: readonly string[];
  readonly next?: string;
}

async function auditPage(ports: Ports, state: AuditState, lookbackMs: number): Promise<AuditedPage> {
  const { stage, after, limits } = state;
  if (stage === 'clocks') return { ...(await auditClocks(ports, after)), checked: new Map(), limits };
  if (stage === 'instances') return { ...(await auditInstances(ports, after)), checked: new Map(), limits };
  const kind = ({ schedules: 'SCH', runs: 'RUN', vms: 'VM' } as const)[stage];
  const page = await ports.store.queryIndex({
    index: 'checks',
    partition: checkPartition(kind, state.shard),
    limit: PAGE,
    ...(after !== undefined && { after }),
  });
  const items = page.items.length === 0 ? [] : await ports.store.getMany(page.items);
  const context = contextOf(ports);
  const seen = new Set(limits);
  const findings: AuditFinding[] = [];
  const checked = new Map<string, Checked>();
  const unread: string[] = [];
  for (const item of items) {
    if (item === undefined) continue;
    const audited = await auditItem({ ...context, now: ports.time.now() }, stage, item, seen, lookbackMs);
    if (audited === undefined) {
      unread.push(String(item.tenantId ?? NO_TENANT));
      continue;
    }
    findings.push(...audited.findings);
    const tenant = String(item.tenantId);
    const before = checked.get(tenant) ?? NOTHING_CHECKED;
    const occurrences = before.occurrences + (audited.occurrences ?? 0);
    checked.set(tenant, { ...before, [stage]: before[stage] + 1, occurrences });
  }
  const kept = [...seen].slice(-LIMITS_KEPT);
  return { findings, checked, unread, limits: kept, ...(page.next !== undefined && { next: page.next }) };
}

/** Its verdicts are by base rows and ends that were seen, never by silence: so there is nothing that it would have to hold. */
const contextOf = (ports: Ports): RuleContext => ({
  ports,
  config: ports.config,
  now: ports.time.now(),
  holdUntil: 0,
  heard: undefined,
  seen: new Set(),
});

/** What cannot be read is told and counted; it is no reason to end an audit. */
async function auditItem(
  context: RuleContext,
  stage: 'schedules' | 'runs' | 'vms',
  item: Item,
  limits: Set<string>,
  lookbackMs: number,
): Promise<Audited | undefined> {
  try {
    if (stage === 'schedules')
      return await auditSchedule(context.ports, asRow<ScheduleRow>(item) as ScheduleRow, lookbackMs);
    if (stage === 'runs') return await auditRun(context, asRow<RunRow>(item) as RunRow, limits);
    return await auditVm(context, asRow<VmRow>(item) as VmRow);
  } catch (error) {
    context.ports.log.error('audit.item_failed', { key: item.pk, error: String(error) });
    return undefined;
  }
}

/** Pure: where it goes on after a page; `undefined` after the last one. */
export function following(
  state: Pick<AuditState, 'stage' | 'shard'>,
  next: string | undefined,
  shards: number,
): Pick<AuditState, 'stage' | 'shard' | 'after'> | undefined {
  const { stage, shard } = state;
  if (next !== undefined) return { stage, shard, after: next };
  const sharded = stage === 'schedules' || stage === 'runs' || stage === 'vms';
  if (sharded && shard + 1 < shards) return { stage, shard: shard + 1 };
  const following = STAGES[STAGES.indexOf(stage) + 1];
  return following === undefined ? undefined : { stage: following, shard: 0 };
}

/** One transaction: how far it has come, and what it found. Undefined where another audit was there first. */
async function writeDown(ports: Ports, state: AuditState, page: AuditedPage): Promise<AuditState | undefined> {
  const now = ports.time.now();
  const to = following(state, page.next, ports.config.checkShards);
  const { after: _was, ...rest } = state;
  const next: AuditState = {
    ...rest,
    ...(to ?? { completed: { cycle: state.cycle, startedAt: state.startedAt, endedAt: now } }),
    limits: page.limits,
    totals: countsOf(page.findings, state.totals),
    unread: state.unread + page.unread.length,
    version: state.version + 1,
  };
  const unchanged: Condition = state.version === 0 ? { op: 'absent' } : eq('version', state.version);
  const writes: Write[] = [
    { kind: 'put', item: asItem(next), guards: [guard('audit.oneAtATime', unchanged)] },
    ...(await tenantRows(ports, state.cycle, page, now)).map((row): Write => ({ kind: 'put', item: asItem(row) })),
  ];
  try {
    await ports.store.transact(writes);
    return next;
  } catch (error) {
    if (error instanceof GuardFailed) return undefined;
    throw error;
  }
}

async function tenantRows(
  ports: Pick<Ports, 'store'>,
  cycle: number,
  { findings, checked, unread }: AuditedPage,
  now: number,
): Promise<readonly TenantAuditRow[]> {
  const tenants = [...new Set([...checked.keys(), ...findings.map(({ tenantId }) => tenantId), ...unread])];
  if (tenants.length === 0) return [];
  const rows = await ports.store.getMany(tenants.map((tenantId) => keys.audit(tenantId)));
  return tenants.map((tenantId, index) => {
    const own = findings.filter((finding) => finding.tenantId === tenantId);
    const row = current(asRow<TenantAuditRow>(rows[index]), tenantId, cycle);
    const seen = checked.get(tenantId) ?? NOTHING_CHECKED;
    const told = own.map(({ tenantId: _tenant, ...finding }) => ({ ...finding, at: now }));
    return {
      ...row,
      counts: countsOf(own, row.counts),
      checked: {
        schedules: row.checked.schedules + seen.schedules,
        occurrences: row.checked.occurrences + seen.occurrences,
        runs: row.checked.runs + seen.runs,
        vms: row.checked.vms + seen.vms,
      },
      unread: (row.unread ?? 0) + unread.filter((each) => each === tenantId).length,
      findings: [...row.findings, ...told].slice(0, FINDINGS_KEPT),
    };
  });
}

/** A tenant's row of this cycle; that of the last one stands beside it until this one is through. */
function current(row: TenantAuditRow | undefined, tenantId: string, cycle: number): TenantAuditRow {
  if (row?.cycle === cycle) return row;
  const fresh = { cycle, counts: NO_COUNTS, checked: NOTHING_CHECKED, unread: 0, findings: [] };
  const base = { ...keys.audit(tenantId), schemaVersion: SCHEMA_VERSION, tenantId, ...fresh };
  if (row === undefined) return base;
  const { counts, checked, unread = 0, findings } = row;
  return { ...base, before: { cycle: row.cycle, counts, checked, unread, findings } };
}

async function publish(ports: Ports, state: AuditState, owner: string, intervalMs: number): Promise<void> {
  const { totals } = state;
  const { metrics } = ports;
  metrics.put('AuditMissing', totals.missing);
  metrics.put('AuditDouble', totals.double);
  metrics.put('AuditOrphans', totals.orphans);
  metrics.put('AuditLeaks', totals.leaks);
  metrics.put('AuditDrifted', totals.drifted);
  metrics.put('AuditUnread', state.unread);
  const promisedWithinSeconds = (3 * intervalMs) / 1000;
  await publishProof(ports, 'audit', {
    owner,
    detail: { ...totals, unread: state.unread, cycle: state.cycle },
    promisedWithinSeconds,
  });
  metrics.put('AuditCycles', 1);
}
