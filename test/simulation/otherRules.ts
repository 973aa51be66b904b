/** What holds besides: names, agents and what they count, children, principals, promises, the feed, records of requests. */
import type { PrincipalRow } from '../../core/access/principals.ts';
import type { AgentRow } from '../../core/agents/model.ts';
import { isTerminal } from '../../core/contract/runStatus.ts';
import type { IdempotencyRow } from '../../core/idempotency/record.ts';
import type { ChildrenRow } from '../../core/runs/children.ts';
import type { EventRow, RunRow } from '../../core/runs/model.ts';
import { flexibleMs } from '../../core/schedules/decide.ts';
import { firstUndecided } from '../../core/schedules/expected.ts';
import type { ScheduleRow } from '../../core/schedules/model.ts';
import * as keys from '../../core/table/itemKeys.ts';
import type { VmRow } from '../../core/vms/model.ts';
import type { Commit } from './invariants.ts';
import type { Change } from './table.ts';
import type { Simulation } from './world.ts';

/** What rows have that are looked at. */
interface Row {
  readonly pk: string;
  readonly id: string;
  readonly checkAt?: number;
  readonly checkFailures?: number;
}

/** After a gap of its own the watchdog gives no verdict for one lease, whatever is due by then. */
const HELD_MS = 46_000;

export class OtherRules {
  readonly #world: Simulation;
  readonly agents = new Map<string, AgentRow>();
  /** By the run that started them. */
  readonly #children = new Map<string, Set<string>>();
  readonly #complete = new Set<string>();
  /** Of each log of the feed. */
  readonly #lastBatches = new Map<string, { readonly sk: string; readonly commit: Commit }>();
  /** When the watchdog has put off its next look at what it could not look at, and until when, by partition. */
  readonly #putOffs = new Map<string, { readonly at: number; readonly until: number }>();
  /** VMs whose end was told as ordered. */
  readonly #ended = new Set<string>();

  constructor(world: Simulation) {
    this.#world = world;
  }

  committed(commit: Commit): void {
    for (const change of commit.changes) this.#one(commit, change);
  }

  #one(commit: Commit, change: Change): void {
    this.#deleted(commit, change);
    const { pk, sk } = change.key;
    const { write, after } = change;
    if (write.kind === 'update' && typeof write.set?.checkFailures === 'number')
      this.#putOffs.set(pk, { at: this.#world.time.now, until: Number(after?.checkAt) });
    if (sk === 'META') {
      if (pk.startsWith('RUN#')) this.#run(commit, change);
      else if (pk.startsWith('VM#')) this.#vm(commit, change);
      else if (pk.startsWith('SCH#')) this.#schedule(commit, change);
      else if (pk.startsWith('AGT#')) this.#agent(commit, change);
      else if (pk.startsWith('PRN#')) this.#principal(commit, change);
      else if (pk.startsWith('IDEM#')) this.#record(commit, change);
    } else if (sk === 'CHILDREN') this.#counted(commit, change);
    else if (sk === 'NOTE#children_complete') this.#completed(commit, change);
    else if (sk.startsWith('NOTE#watchdog#')) this.#recovered(commit, change);
    else if (pk.startsWith('FEED#') && sk.startsWith('B#')) this.#appended(commit, change);
    else if (pk === 'SYS' && sk === 'audit.state') this.#audited(commit, change);
  }

  /** What counts until a time is not taken away before it. */
  #deleted(commit: Commit, { key: { pk, sk }, before, after }: Change): void {
    const expiresAt = Number(before?.expiresAt ?? 0);
    if (after === undefined && expiresAt > this.#world.time.now + this.#world.apartMs)
      this.#fail('§6', commit, `${pk} ${sk} is taken away, and counts until ${expiresAt}`);
  }

  /** Whoever has read a log up to a position has missed nothing that comes to stand before it. */
  #appended(commit: Commit, { key: { pk, sk }, before }: Change): void {
    if (before !== undefined) this.#fail('§5.6', commit, `writes over the batch ${pk} ${sk} of the feed`);
    const last = this.#lastBatches.get(pk) ?? { sk: '', commit };
    // What one transaction appends is seen at once.
    if (sk < last.sk && last.commit !== commit)
      this.#fail('§5.6', commit, `appends the batch ${pk} ${sk}, which stands before ${last.sk}`);
    if (sk > last.sk) this.#lastBatches.set(pk, { sk, commit });
  }

  /** Its next look, by a watchdog that could not look at it; also where another one, which could, has forgotten that since. */
  isPutOff = (row: Row): boolean =>
    row.checkFailures !== undefined || (row.checkAt !== undefined && this.#putOffs.get(row.pk)?.until === row.checkAt);

  /** When that was. */
  putOffAt = ({ pk }: Row): number => this.#putOffs.get(pk)?.at ?? Number.NEGATIVE_INFINITY;

  #fail = (invariant: string, { inc }: Commit, what: string): void =>
    this.#world.broken(invariant, `${inc.kind}: ${what}`);

  /** Whatever is not at rest is looked at by the time by which it must have moved on (§1.6). */
  #promise(commit: Commit, { before, after }: Change): void {
    const row = after as unknown as RunRow | VmRow | undefined;
    const was = before as unknown as RunRow | VmRow | undefined;
    this.#putOff(commit, was, row);
    if (row === undefined || isTerminal(row.status as never) || row.status === 'terminated') return;
    const { now } = this.#world.time;
    if (row.checkAt === undefined)
      this.#fail('§1.6', commit, `${row.id} is ${row.status}, and nobody ever looks at it`);
    // Of a VM that is well or on its way the lease and its run are looked at; what could not be looked at is put off.
    if (row.checkAt === undefined || this.isPutOff(row) || SEEN_TO_BY_OTHERS.has(row.status)) return;
    // Drained by order it waits for the work that is on it, whose end nobody promises.
    if ('slots' in row && row.drain !== undefined && row.slots.length > 0) return;
    const laterMs = this.#world.apartMs + (this.#world.checker.looks.mayHold(commit) ? HELD_MS : 0);
    if (
      row.deadlineAt !== undefined &&
      row.deadlineAt > now + this.#world.apartMs &&
      row.checkAt > row.deadlineAt + laterMs
    )
      this.#fail(
        '§1.6',
        commit,
        `${row.id} is ${row.status}, and is looked at ${row.checkAt - row.deadlineAt} ms too late`,
      );
  }

  #vm(commit: Commit, change: Change): void {
    const { before, after } = change;
    const [was, is] = [before, after] as unknown as readonly (VmRow | undefined)[];
    this.#promise(commit, change);
    if (was?.endOrderedAt !== undefined && is?.endOrderedAt !== was.endOrderedAt)
      this.#fail('§5.9', commit, `the end of ${was.id} is said to be ordered for the first time once more`);
  }

  /** Only what is due, and could not be looked at, is put off: not what has moved on meanwhile. */
  #putOff(commit: Commit, was: Row | undefined, row: Row | undefined): void {
    if (was === undefined || row === undefined || (row.checkFailures ?? 0) <= (was.checkFailures ?? 0)) return;
    if (was.checkAt === undefined) this.#fail('§1.6', commit, `${row.id} is at rest, and its next look is put off`);
    else if (was.checkAt > this.#world.time.now + this.#world.apartMs)
      this.#fail('§1.6', commit, `the look at ${row.id} in ${was.checkAt - this.#world.time.now} ms is put off`);
  }

  #run(commit: Commit, change: Change): void {
    const before = change.before as unknown as RunRow | undefined;
    const run = change.after as unknown as RunRow | undefined;
    if (run === undefined) return;
    this.#promise(commit, change);
    if (before !== undefined) return;
    const agent = this.#world.table.get(keys.agent(run.agentId)) as unknown as AgentRow | undefined;
    const byHand = run.trigger.kind === 'api' || run.trigger.kind === 'run' || run.trigger.kind === 'retry';
    if (byHand && (agent?.status !== 'active' || agent.version !== run.agentVersion))
      this.#fail(
        'I8',
        commit,
        `run ${run.id} pins version ${run.agentVersion} of ${agent?.id}, which is ${agent?.status} at ${agent?.version}`,
      );
    if (run.parentRunId !== undefined) this.#child(commit, run.parentRunId, run);
  }

  #child(commit: Commit, parentId: string, run: RunRow): void {
    const parent = this.#world.table.get(keys.run(parentId)) as unknown as RunRow | undefined;
    if (parent?.status !== 'starting' && parent?.status !== 'running')
      this.#fail('§5.6', commit, `run ${run.id} is started by ${parentId}, which is ${parent?.status}`);
    const by = commit.inc.childOf;
    if (by !== undefined && by.attempt !== parent?.attempt)
      this.#fail(
        'I7',
        commit,
        `run ${run.id} is started by attempt ${by.attempt} of ${parentId}, which is at ${parent?.attempt}`,
      );
    const own = this.#children.get(parentId) ?? new Set<string>();
    own.add(run.id);
    this.#children.set(parentId, own);
    if (own.size > this.#world.config.maxChildrenPerRun)
      this.#fail('I10', commit, `run ${parentId} has started ${own.size} runs`);
    if (this.#complete.has(parentId))
      this.#fail('§5.6', commit, `the children of ${parentId} were complete, and ${run.id} begins`);
  }

  #counted(commit: Commit, { key, after, before }: Change): void {
    const parentId = key.pk.slice('RUN#'.length);
    const row = after as unknown as ChildrenRow | undefined;
    const was = before as unknown as ChildrenRow | undefined;
    const { pending } = this.#pending(parentId);
    if (row !== undefined && row.pending !== pending)
      this.#fail('I10', commit, `run ${parentId} counts ${row.pending} children, and ${pending} have not ended`);
    if (was?.sealedAt !== undefined && (row?.created ?? 0) > was.created)
      this.#fail('§5.6', commit, `the children of ${parentId} are sealed, and one more is counted`);
    const note = keys.childrenComplete(parentId);
    const says = commit.find(note.pk, note.sk) !== undefined;
    if (says && this.#complete.has(parentId))
      this.#fail('§5.6', commit, `the children of ${parentId} are said to be complete twice`);
    if (was?.sealedAt !== undefined && row?.sealedAt !== was.sealedAt)
      this.#fail('I3', commit, `the children of ${parentId} are sealed a second time`);
    if (row?.sealedAt !== undefined && row.pending === 0 && !says && !this.#complete.has(parentId))
      this.#fail('§5.6', commit, `the children of ${parentId} are complete, and nobody says so`);
  }

  #pending(parentId: string) {
    const own = [...(this.#children.get(parentId) ?? [])];
    return { pending: own.filter((id) => this.#world.checker.runs.live.has(id)).length };
  }

  #completed(commit: Commit, { key, after }: Change): void {
    const parentId = key.pk.slice('RUN#'.length);
    this.#complete.add(parentId);
    const { pending } = this.#pending(parentId);
    if (pending > 0)
      this.#fail('§5.6', commit, `the children of ${parentId} are said to be complete, and ${pending} are not`);
    const { size } = this.#children.get(parentId) ?? new Set();
    const { created } = (after as unknown as EventRow).detail ?? {};
    if (created !== size)
      this.#fail(
        '§5.6',
        commit,
        `all ${String(created)} children of ${parentId} are said to be complete: it has ${size}`,
      );
  }

  /** The end of a VM is asked for again and again, and told once. */
  #recovered(commit: Commit, { before, after }: Change): void {
    const { subjectId, type, detail } = after as unknown as EventRow;
    if (before !== undefined || (type !== 'watchdog.vm_lingering' && type !== 'watchdog.cancel_escalated')) return;
    const did = String(detail?.did);
    if (!did.startsWith('terminated')) return;
    const vmId = type === 'watchdog.vm_lingering' ? subjectId : did.slice('terminated '.length);
    if (this.#ended.has(vmId)) this.#fail('§5.9', commit, `the end of ${vmId} is told as ordered a second time`);
    this.#ended.add(vmId);
  }

  #schedule(commit: Commit, change: Change): void {
    const before = change.before as unknown as ScheduleRow | undefined;
    const schedule = change.after as unknown as ScheduleRow | undefined;
    if (schedule === undefined) return;
    this.#looked(commit, schedule);
    this.#named(commit, before, schedule);
  }

  #looked(commit: Commit, schedule: ScheduleRow): void {
    if (this.isPutOff(schedule)) return;
    const due = firstUndecided(schedule);
    const latest = due === undefined ? undefined : due + flexibleMs(schedule);
    if (latest !== undefined && (schedule.checkAt === undefined || schedule.checkAt > latest + this.#world.apartMs))
      this.#fail('§1.6', commit, `schedule ${schedule.id} is looked at ${schedule.checkAt}, and is due at ${due}`);
    const waits = schedule.buffer.length > 0 || schedule.waitingRuns.length > 0 || schedule.clock.status === 'pending';
    const soonMs = this.#world.time.now + 2 * this.#world.config.watchdogIntervalSeconds * 1000 + this.#world.apartMs;
    const frozen = commit.inc.startedAt < this.#world.time.now - 30_000;
    if (waits && !frozen && (schedule.checkAt === undefined || schedule.checkAt > soonMs))
      this.#fail('§1.6', commit, `schedule ${schedule.id} waits for something, and nobody looks soon`);
  }

  #named(commit: Commit, before: ScheduleRow | undefined, schedule: ScheduleRow): void {
    if (before?.status === schedule.status && before.name === schedule.name) return;
    const isThere = ({ status }: ScheduleRow) => status !== 'deleted' && status !== 'deleting';
    const own = [...this.#world.checker.ledger.rows.values()].filter(
      (each) => each.agentId === schedule.agentId && isThere(each),
    );
    const alike = own.filter(({ name }) => name === schedule.name);
    if (isThere(schedule) && alike.length > 1)
      this.#fail('§2', commit, `schedules ${alike.map(({ id }) => id).join(' and ')} have one name`);
    const agent = this.#world.table.get(keys.agent(schedule.agentId)) as unknown as AgentRow | undefined;
    if (agent !== undefined && agent.scheduleCount !== own.length)
      this.#fail('I10', commit, `agent ${agent.id} counts ${agent.scheduleCount} schedules, and has ${own.length}`);
    if (isThere(schedule) && agent?.status !== 'active')
      this.#fail('I4', commit, `schedule ${schedule.id} is ${schedule.status}, and its agent is ${agent?.status}`);
  }

  #agent(commit: Commit, { before, after }: Change): void {
    const was = before as unknown as AgentRow | undefined;
    const agent = after as unknown as AgentRow | undefined;
    if (agent === undefined) return;
    this.agents.set(agent.id, agent);
    if (was?.status === 'deleted' && agent.status !== 'deleted')
      this.#fail('I3', commit, `agent ${agent.id} was deleted`);
    const changed = was !== undefined && EDITABLE.some((name) => was[name] !== agent[name]);
    if (changed && was.version === agent.version)
      this.#fail('I8', commit, `agent ${agent.id} changes at version ${agent.version}`);
    const alike = [...this.agents.values()].filter(
      (each) => each.status === 'active' && each.name === agent.name && each.tenantId === agent.tenantId,
    );
    if (alike.length > 1) this.#fail('§2', commit, `agents ${alike.map(({ id }) => id).join(' and ')} have one name`);
    if (agent.status !== 'deleted' || was?.status === 'deleted') return;
    for (const schedule of this.#world.checker.ledger.rows.values())
      if (schedule.agentId === agent.id && schedule.status !== 'deleted' && schedule.status !== 'deleting')
        this.#fail('§7', commit, `agent ${agent.id} is deleted, and ${schedule.id} is ${schedule.status}`);
  }

  #principal(commit: Commit, { before, after }: Change): void {
    const [was, is] = [before, after] as unknown as readonly (PrincipalRow | undefined)[];
    if (was === undefined || is === undefined) return;
    const version = is.version ?? 1;
    if (version !== (was.version ?? 1) + 1)
      this.#fail('I8', commit, `principal ${is.id} goes from version ${was.version} to ${version}`);
  }

  /** What was answered under a key stays the answer. */
  #record(commit: Commit, { before, after }: Change): void {
    const [was, is] = [before, after] as unknown as readonly (IdempotencyRow | undefined)[];
    if (is !== undefined && is.requestId === undefined)
      this.#fail('§6', commit, 'an answer is kept of a request that had no effect: it can never be sent again');
    if (is?.created !== undefined && is.answer !== undefined && is.answer.status >= 400)
      this.#fail('§6', commit, `${is.created} was made, and its request is answered ${is.answer.status}`);
    if (was === undefined || is === undefined || was.expiresAt <= this.#world.time.now + this.#world.apartMs) return;
    if (was.requestId !== is.requestId) this.#fail('§6', commit, 'another request takes over an Idempotency-Key');
    if (was.answer !== undefined && JSON.stringify(was.answer) !== JSON.stringify(is.answer))
      this.#fail('§6', commit, 'the answer under an Idempotency-Key changes');
  }

  #audited(commit: Commit, { before, after }: Change): void {
    if (before !== undefined && Number(after?.version) !== Number(before.version) + 1)
      this.#fail('I8', commit, `the audit goes from version ${before.version} to ${after?.version}`);
  }
}

const SEEN_TO_BY_OTHERS = new Set<string>(['launching', 'booting', 'ready', 'unresponsive']);

const EDITABLE = ['status', 'name', 'limits', 'env', 'command', 'retry', 'warmFor', 'slots', 'reuse'] as const;
