/** What holds for runs: I1, I2, I3, I7, I8, I9, I11, I13, and that no verdict says what did not happen. */
import { isTerminal } from '../../core/contract/runStatus.ts';
import type { RunRow } from '../../core/runs/model.ts';
import type { ScheduleRow } from '../../core/schedules/model.ts';
import * as keys from '../../core/table/itemKeys.ts';
import type { Commit } from './invariants.ts';
import type { Change } from './table.ts';
import type { Simulation } from './world.ts';

/** Ends that say that no process of the attempt ever existed. */
const NEVER_BEGAN = new Set([
  'cancelled_before_start',
  'not_started',
  'setup_failed',
  'repository_failed',
  'vm_lost_before_start',
  'capacity',
  'quota',
  'launch_throttled',
  'launch_misconfigured',
  'provisioning_failed',
  'queue_timeout',
]);
/** What may still change in a run that has ended: the one correction; and that it could not be looked at is forgotten. */
const ADDED = new Set(['correction', 'version', 'checkFailures']);

export class RunRules {
  readonly #world: Simulation;
  readonly #byOccurrence = new Map<string, string>();
  /** All runs, as they stand. */
  readonly rows = new Map<string, RunRow>();
  readonly live = new Set<string>();
  /** When the end of each was committed, by the world's own time: it was decided a while before that. */
  readonly endedAt = new Map<string, number>();
  /** What its schedule, or its backfill, said about overlaps when it was made. */
  readonly policies = new Map<string, string>();

  constructor(world: Simulation) {
    this.#world = world;
  }

  changed(commit: Commit, { write }: Change, before: RunRow | undefined, after: RunRow | undefined): void {
    const { inc } = commit;
    if (after === undefined) {
      this.#broken('§1.7', inc.kind, before, 'is taken away');
      return;
    }
    this.rows.set(after.id, after);
    if (isTerminal(after.status)) this.live.delete(after.id);
    else this.live.add(after.id);
    if (before === undefined) {
      this.#created(commit, after);
      return;
    }
    if (write.kind === 'put') {
      this.#broken('I1', inc.kind, after, 'is made a second time');
      return;
    }
    this.#versions(commit, before, after);
    if (isTerminal(before.status)) {
      this.#final(inc.kind, before, after);
      return;
    }
    this.#attempts(commit, before, after);
    this.#marker(inc.kind, before, after);
    if (isTerminal(after.status)) {
      this.endedAt.set(after.id, this.#world.time.now);
      this.#ended(commit, before, after);
    }
    this.#runner(commit, before, after);
  }

  #broken(invariant: string, kind: string, run: RunRow | undefined, what: string): void {
    this.#world.broken(invariant, `${kind}: run ${run?.id} ${what}`);
  }

  #created({ inc, find }: Commit, run: RunRow): void {
    // A run that finds a free VM is dispatched by the transaction that creates it.
    if (run.version > 2) this.#broken('I8', inc.kind, run, `begins at version ${run.version}`);
    for (let version = 1; version <= run.version; version++) {
      const event = keys.runEvent(run.id, version);
      if (find(event.pk, event.sk) === undefined) this.#broken('I13', inc.kind, run, `has no event ${version}`);
    }
    const schedule = run.scheduleId === undefined ? undefined : find(keys.schedule(run.scheduleId).pk, 'META');
    if (run.scheduleId !== undefined && schedule === undefined)
      this.#broken('I10', inc.kind, run, 'begins, and its schedule does not count it');
    const [was, is] = [schedule?.before as ScheduleRow | undefined, schedule?.after as ScheduleRow | undefined];
    const policy = run.backfillId === undefined ? was?.overlapPolicy : was?.backfill?.overlapPolicy;
    if (policy !== undefined) this.policies.set(run.id, policy);
    if (is !== undefined && !is.liveRuns.includes(run.id))
      this.#broken('I10', inc.kind, run, 'begins, and is not among the live runs of its schedule');
    if (run.occurrence === undefined) {
      // By hand, or by a program: it stands in no occurrence (I11).
      if (was !== undefined && is !== undefined && was.decidedThrough !== is.decidedThrough)
        this.#broken('I11', inc.kind, run, `is ${run.trigger.kind}, and settles an occurrence`);
      return;
    }
    const occurrence = `${run.scheduleId} ${run.occurrence} ${run.backfillId ?? ''}`;
    const other = this.#byOccurrence.get(occurrence);
    if (other !== undefined) this.#broken('I1', inc.kind, run, `is the second one of ${occurrence}, after ${other}`);
    this.#byOccurrence.set(occurrence, run.id);
  }

  #versions({ inc, find }: Commit, before: RunRow, after: RunRow): void {
    if (after.version === before.version) {
      if (after.waiting !== undefined && before.waiting === undefined)
        this.#broken('I8', inc.kind, after, `waits for ${after.waiting.reason} again at version ${after.version}`);
      if (after.status !== before.status || after.attempt !== before.attempt || after.vmId !== before.vmId)
        this.#broken('I8', inc.kind, after, `changes at version ${after.version}`);
      return;
    }
    if (after.version !== before.version + 1)
      this.#broken('I8', inc.kind, after, `goes from version ${before.version} to ${after.version}`);
    const event = keys.runEvent(after.id, after.version);
    if (find(event.pk, event.sk) === undefined)
      this.#broken('I13', inc.kind, after, `is at version ${after.version} without an event`);
  }

  #final(kind: string, before: RunRow, after: RunRow): void {
    const [was, is] = [before, after] as unknown as readonly Readonly<Record<string, unknown>>[];
    for (const name of Object.keys({ ...was, ...is }))
      if (was?.[name] !== is?.[name] && !ADDED.has(name))
        this.#broken('I3', kind, after, `had ended, and its ${name} goes from ${was?.[name]} to ${is?.[name]}`);
    if (before.correction !== undefined && after.correction !== before.correction)
      this.#broken('I3', kind, after, 'is corrected twice');
    if (after.correction !== undefined && before.correction === undefined) this.#corrected(kind, after);
  }

  /** What stands beside the verdict is proof. */
  #corrected(kind: string, run: RunRow): void {
    const process = this.#world.truth.of({ runId: run.id, attempt: run.attempt });
    if (process?.end?.by === undefined) this.#broken('I7', kind, run, `is corrected, and nothing of it has ended`);
    if (run.correction?.status === 'succeeded' && process?.end?.exitCode !== 0)
      this.#broken('truth', kind, run, 'is corrected to succeeded, and has not');
  }

  /** Its status says whether a VM has it; and from `cancelling` on it only ends. */
  #marker(kind: string, before: RunRow, after: RunRow): void {
    if (isTerminal(after.status)) return;
    const isDispatched = after.status !== 'queued' && after.status !== 'provisioning';
    if (isDispatched !== (after.vmId !== undefined))
      this.#broken('I2', kind, after, `is ${after.status}, and ${after.vmId ?? 'no VM'} has it`);
    if (before.status === 'cancelling' && after.status !== 'cancelling')
      this.#broken('I3', kind, after, `was being cancelled, and is ${after.status}`);
  }

  #attempts({ inc }: Commit, before: RunRow, after: RunRow): void {
    if (after.attempt === before.attempt) {
      if (before.vmId !== undefined && after.vmId !== before.vmId)
        this.#broken('I2', inc.kind, after, `has its marker moved from ${before.vmId} to ${after.vmId}`);
      return;
    }
    if (after.attempt !== before.attempt + 1)
      this.#broken('I8', inc.kind, after, `goes from attempt ${before.attempt} to ${after.attempt}`);
    // Work that has begun is done again only where its agent allows that.
    const begun = this.#world.truth.of({ runId: after.id, attempt: before.attempt });
    if (begun !== undefined && before.retry?.afterStart !== true)
      this.#broken(
        'truth',
        inc.kind,
        after,
        `is tried again as not begun, and was at work on ${begun.machine.instanceId}`,
      );
    for (const { address, machine } of this.#world.truth.live(after.id))
      this.#broken(
        'I2',
        inc.kind,
        after,
        `goes on to attempt ${after.attempt} while ${address.attempt} is at work on ${machine.instanceId}`,
      );
  }

  #ended({ inc, find }: Commit, before: RunRow, run: RunRow): void {
    const { truth } = this.#world;
    const { kind } = inc;
    for (const { machine } of truth.live(run.id))
      this.#broken(
        'I9',
        kind,
        run,
        `is said to be ${run.status} (${run.reason}) while it is at work on ${machine.instanceId}`,
      );
    this.#verdict(kind, run);
    if (run.scheduleId !== undefined) {
      const schedule = (find(keys.schedule(run.scheduleId).pk, 'META')?.after ??
        this.#world.table.get(keys.schedule(run.scheduleId))) as ScheduleRow | undefined;
      if (schedule?.liveRuns.includes(run.id) === true)
        this.#broken('I10', kind, run, `has ended, and its schedule counts it still`);
    }
    if (before.vmId === undefined) return;
    const vm = this.#world.table.get(keys.vm(before.vmId));
    const slots = (vm?.slots ?? []) as readonly { readonly runId: string }[];
    if (slots.some(({ runId }) => runId === run.id))
      this.#broken('I10', kind, run, `has ended, and ${before.vmId} keeps a slot for it`);
  }

  #verdict(kind: string, run: RunRow): void {
    const process = this.#world.truth.of({ runId: run.id, attempt: run.attempt });
    const end = process?.end;
    const { status, reason = '', exitCode } = run;
    const said = `is said to be ${status} (${reason})`;
    if (status === 'succeeded' && (end?.by !== 'self' || end.exitCode !== 0))
      this.#broken('truth', kind, run, `${said}, and ended by ${end?.by} with ${end?.exitCode}`);
    if (reason === 'exit_code' && (end?.by !== 'self' || end.exitCode !== exitCode))
      this.#broken('truth', kind, run, `${said} with ${exitCode}, and ended by ${end?.by} with ${end?.exitCode}`);
    // Runners keep what has ended until it is stored: nothing of theirs ends unreported.
    if (reason === 'ended_unreported')
      this.#broken(
        'truth',
        kind,
        run,
        `${said}, and ${process === undefined ? 'had not begun' : 'its runner knows better'}`,
      );
    const neverBegan = NEVER_BEGAN.has(reason) || (status === 'failed' && reason === 'start_timeout');
    if (neverBegan && process !== undefined)
      this.#broken('truth', kind, run, `${said}, and a process of it was started on ${process.machine.instanceId}`);
    // Where the VM was terminated, how the work on it had ended is not known to anybody: the reason says so.
    const known = reason !== 'vm_terminated_after_cancel';
    if (
      known &&
      end?.by === 'self' &&
      process?.signalled !== true &&
      (status === 'cancelled' || status === 'timed_out')
    )
      this.#broken('truth', kind, run, `${said}, and ended by itself with ${end.exitCode} before any signal`);
  }

  /** A runner's word counts for the attempts that its VM has, and for nothing else (I7). */
  #runner({ inc }: Commit, before: RunRow, after: RunRow): void {
    if (inc.actsFor === undefined) return;
    const reports = isTerminal(after.status) || (before.startedAt === undefined && after.startedAt !== undefined);
    if (reports && before.vmId !== inc.actsFor.vmId)
      this.#broken('I7', inc.kind, after, `of ${before.vmId} is changed by the runner of ${inc.actsFor.vmId}`);
  }
}
