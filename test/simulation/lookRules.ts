/**
 * What holds for looks: none is a verdict while the watchdog comes back from a gap of its own (I9), what ends by one has been
 * seen twice (§5.4, §5.9), and that something could not be looked at is forgotten by who has read that alone (I8).
 */
import { isTerminal } from '../../core/contract/runStatus.ts';
import type { RunRow } from '../../core/runs/model.ts';
import { STRAY_INSTANCES } from '../../core/table/keys.ts';
import type { IndexEntry, Item } from '../../core/table/model.ts';
import { isGivenUp, type VmRow } from '../../core/vms/model.ts';
import type { Ec2Instance } from './ec2.ts';
import type { Incarnation } from './incarnations.ts';
import type { Commit } from './invariants.ts';
import type { Change } from './table.ts';
import type { Simulation } from './world.ts';

/** What the watchdog has remembered of a tick, and from when on. */
interface Tick {
  readonly from: number;
  readonly at: number;
  readonly holdUntil: number;
}

/** What one call has seen so far. */
interface Seen {
  /** How often something could not be looked at, by partition: each number that it has read. */
  readonly failures: Map<string, Set<number>>;
  /** When each instance was first found to be nobody's. */
  readonly strays: Map<string, number>;
  /** How often EC2 showed nothing of each VM that is not gone. */
  readonly gone: Map<string, number>;
}

const BY_ITS_VM: ReadonlySet<string | undefined> = new Set([
  'vm_terminated',
  'vm_lost_before_start',
  'vm_terminated_after_cancel',
]);

export class LookRules {
  readonly #world: Simulation;
  readonly #ticks: Tick[] = [];
  readonly #seen = new WeakMap<Incarnation, Seen>();
  /** From when on each attempt has a slot. */
  readonly #slotSince = new Map<string, number>();

  constructor(world: Simulation) {
    this.#world = world;
  }

  committed(commit: Commit): void {
    for (const change of commit.changes) {
      const { pk, sk } = change.key;
      if (pk === 'SYS' && sk === 'watchdog') this.#ticked(change.after);
      if (sk !== 'META') continue;
      const { before, after } = change as { readonly before?: object; readonly after?: object };
      if (pk.startsWith('VM#')) this.#placed(before as VmRow | undefined, after as VmRow | undefined);
      if (commit.inc.carriesOn) continue;
      this.#forgotten(commit, change);
      if (pk.startsWith('VM#')) this.#vm(commit, before as VmRow | undefined, after as VmRow | undefined);
      else if (pk.startsWith('RUN#')) this.#run(commit, before as RunRow | undefined, after as RunRow | undefined);
    }
  }

  /** What the table has answered it. */
  read(inc: Incarnation, items: readonly (Item | IndexEntry | undefined)[]): void {
    if (inc.kind !== 'watchdog') return;
    for (const item of items) {
      if (item === undefined) continue;
      const { checkFailures, firstSeenAt } = item as Item;
      if (typeof checkFailures === 'number') this.#failuresOf(inc, item.pk).add(checkFailures);
      if (item.pk === STRAY_INSTANCES) this.#of(inc).strays.set(item.sk, Number(firstSeenAt));
    }
  }

  /** What EC2 has shown it of a VM's instances. */
  described(inc: Incarnation, vmId: string, states: readonly (string | undefined)[]): void {
    if (states.some((state) => state !== 'terminated')) return;
    const { gone } = this.#of(inc);
    gone.set(vmId, (gone.get(vmId) ?? 0) + 1);
  }

  /** It has EC2 end an instance; where that is its VM's, it is no stray. */
  ending(inc: Incarnation, { id, vmId }: Ec2Instance): void {
    const { config, time, apartMs } = this.#world;
    const firstSeenAt = this.#seen.get(inc)?.strays.get(id);
    const vm = this.#world.checker.vms.rows.get(vmId);
    if (inc.carriesOn || firstSeenAt === undefined || (vm !== undefined && isGivenUp(vm))) return;
    const forMs = time.now - firstSeenAt;
    if (forMs < config.leaseSeconds * 1000 - apartMs)
      this.#world.broken(
        '§5.9',
        `${inc.kind}: ${id} is ended as a stray, ${forMs} ms after it was first seen to be one`,
      );
  }

  /** Whether it may give no verdict yet, by what it has read, or another one has written since. */
  mayHold(commit: Commit): boolean {
    const { config, apartMs } = this.#world;
    const { startedAt } = commit.inc;
    const gapMs = 2 * config.watchdogIntervalSeconds * 1000 - apartMs;
    return this.#ticksRead(commit).some(
      ({ at, holdUntil }) => holdUntil > startedAt - apartMs || startedAt - at > gapMs,
    );
  }

  /** Whether it may give none for sure, whatever it has read. */
  #holds(commit: Commit): boolean {
    const { config, apartMs, time } = this.#world;
    const { startedAt } = commit.inc;
    const gapMs = (2 * config.watchdogIntervalSeconds + 1) * 1000 + apartMs;
    const isWithinLease = time.now < startedAt + config.leaseSeconds * 1000 - apartMs;
    const read = this.#ticksRead(commit);
    // Before the first of them nothing was missed.
    return (
      (read[0]?.from ?? Number.POSITIVE_INFINITY) <= startedAt &&
      read.every(({ at, holdUntil }) => holdUntil > time.now + apartMs || (startedAt - at > gapMs && isWithinLease))
    );
  }

  #ticksRead({ inc }: Commit): readonly Tick[] {
    return this.#ticks.slice(
      Math.max(
        this.#ticks.findLastIndex(({ from }) => from <= inc.startedAt),
        0,
      ),
    );
  }

  #ticked(after: object | undefined): void {
    const { at = 0, memory } = (after ?? {}) as {
      readonly at?: number;
      readonly memory?: { readonly holdUntil?: number };
    };
    this.#ticks.push({ from: this.#world.time.now, at, holdUntil: memory?.holdUntil ?? 0 });
  }

  #placed(before: VmRow | undefined, after: VmRow | undefined): void {
    const had = new Set(before?.slots.map(slotOf));
    for (const slot of after?.slots ?? [])
      if (!had.has(slotOf(slot))) this.#slotSince.set(slotOf(slot), this.#world.time.now);
  }

  #vm(commit: Commit, before: VmRow | undefined, after: VmRow | undefined): void {
    if (before === undefined || after === undefined || commit.inc.kind !== 'watchdog') return;
    const { detail } = after.evidence;
    const isSilent = before.status !== 'unresponsive' && after.status === 'unresponsive';
    const isCondemned = !isGivenUp(before) && isGivenUp(after) && detail.endsWith('it is given up');
    if ((isSilent || isCondemned) && this.#holds(commit))
      this.#fail('I9', commit, `${after.id} is ${after.status} (${detail}), right after a gap of the watchdog's own`);
  }

  /** Of a VM whose end is on record that was seen twice before. What got to it meanwhile was not on it when it was looked at. */
  #run(commit: Commit, before: RunRow | undefined, after: RunRow | undefined): void {
    if (before === undefined || after === undefined || isTerminal(before.status)) return;
    const isLate = after.reason === 'queue_timeout' || (after.status === 'failed' && after.reason === 'start_timeout');
    if (isLate && commit.inc.kind === 'watchdog' && this.#holds(commit))
      this.#fail('I9', commit, `run ${after.id} is ${after.reason}, right after a gap of the watchdog's own`);
    const isNext = after.attempt !== before.attempt;
    const reason = isNext ? after.attempts?.at(-1)?.reason : isTerminal(after.status) ? after.reason : undefined;
    if (before.vmId === undefined || !BY_ITS_VM.has(reason)) return;
    const { vmId, id: runId, attempt } = before;
    const { inc } = commit;
    if (this.#world.checker.vms.rows.get(vmId)?.status === 'terminated') return;
    if ((this.#slotSince.get(slotOf({ runId, attempt })) ?? 0) > inc.startedAt) return;
    const looks = this.#seen.get(inc)?.gone.get(vmId) ?? 0;
    if (looks < 2) this.#fail('§5.4', commit, `run ${runId} loses ${vmId}, which was seen to be gone ${looks} times`);
  }

  /** It could be looked at again. */
  #forgotten(commit: Commit, { key: { pk }, before, write }: Change): void {
    if (write.kind !== 'update' || before === undefined) return;
    const names = Object.keys(write.set ?? {});
    if (names.length !== 1 || names[0] !== 'checkFailures' || write.set?.checkFailures !== undefined) return;
    const read = this.#failuresOf(commit.inc, pk);
    if (typeof before.checkFailures === 'number' && !read.has(before.checkFailures))
      this.#fail(
        'I8',
        commit,
        `of ${pk} ${before.checkFailures} failed looks are forgotten by who knew of ${[...read]}`,
      );
  }

  #failuresOf(inc: Incarnation, pk: string): Set<number> {
    const { failures } = this.#of(inc);
    const read = failures.get(pk) ?? new Set();
    failures.set(pk, read);
    return read;
  }

  #of(inc: Incarnation): Seen {
    const seen = this.#seen.get(inc) ?? { failures: new Map(), strays: new Map(), gone: new Map() };
    this.#seen.set(inc, seen);
    return seen;
  }

  #fail = (invariant: string, { inc }: Commit, what: string): void =>
    this.#world.broken(invariant, `${inc.kind}: ${what}`);
}

const slotOf = ({ runId, attempt }: { readonly runId: string; readonly attempt: number }): string =>
  `${runId} ${attempt}`;
