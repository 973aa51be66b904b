/**
 * What a stale writer would leave (I8): of a schedule counts that stand still, derived fields of a row that is no more, an end
 * that changes; of the launch rate a launch that nobody counts.
 */
import { settledOf, spreadMs } from '../../core/schedules/check.ts';
import { firstUndecided } from '../../core/schedules/expected.ts';
import type { BackfillRow, ScheduleRow } from '../../core/schedules/model.ts';
import * as keys from '../../core/table/itemKeys.ts';
import type { Incarnation } from './incarnations.ts';
import type { Commit } from './invariants.ts';
import type { Change } from './table.ts';
import type { Simulation } from './world.ts';

const PACE = keys.launchPace().pk;

export class StaleRules {
  readonly #world: Simulation;
  /** When the clock of each schedule was last found to follow it. */
  readonly #followsSince = new Map<string, number>();

  constructor(world: Simulation) {
    this.#world = world;
  }

  committed(commit: Commit): void {
    for (const change of commit.changes) {
      const { pk, sk } = change.key;
      if (pk === PACE) this.#pace(commit, change);
      if (!pk.startsWith('SCH#')) continue;
      if (sk === 'META') this.#schedule(commit, change);
      else if (sk.startsWith('BKF#')) this.#backfill(commit, change);
    }
  }

  #schedule({ inc }: Commit, { before, after, write }: Change): void {
    const [was, is] = [before, after] as unknown as readonly (ScheduleRow | undefined)[];
    if (was === undefined || is === undefined || write.kind !== 'update') return;
    const fail = (invariant: string, what: string) =>
      this.#world.broken(invariant, `${inc.kind}: schedule ${is.id} ${what}`);
    const { set = {} } = write;
    if (was.clock.status === 'pending' && is.clock.status === 'synced')
      this.#followsSince.set(is.id, this.#world.time.now);
    if ('liveSeq' in set && is.liveSeq !== was.liveSeq + 1)
      fail('I8', `has liveSeq ${is.liveSeq} written over ${was.liveSeq}`);
    // An edit, or a fire, may have been decided before the clock was marked: it says less than is known, and is pending.
    if (!('attentionAt' in set) && is.clock.specVersion < was.clock.specVersion)
      fail('I8', `has a drift of version ${is.clock.specVersion} noted over ${was.clock.specVersion}`);
    if (is.status === 'deleting' && is.liveRuns.length === 0) fail('I14', 'is deleting, and has no run to wait for');
    if (is.settledThrough !== settledOf(is)) fail('I5', `is said to be settled through ${is.settledThrough}`);
    // Whoever has found a drift, or could not look at the row, says only when it is looked at.
    if ('attentionAt' in set) this.#check(inc, is, fail);
  }

  /** Each launch that is granted comes on top of those before it. */
  #pace({ inc }: Commit, { before, after }: Change): void {
    const intervalMs = 1000 / this.#world.ec2.installation.launchesPerSecond;
    if (before !== undefined && Number(after?.fullAt) < Number(before.fullAt) + intervalMs)
      this.#world.broken('I8', `${inc.kind}: the launch rate forgets a launch that was granted`);
  }

  /** Its end changes no more. */
  #backfill({ inc }: Commit, { before, after }: Change): void {
    const [was, is] = [before, after] as unknown as readonly (BackfillRow | undefined)[];
    if (was !== undefined && was.status !== 'running' && is?.status !== was.status)
      this.#world.broken('I3', `${inc.kind}: backfill ${was.id} was ${was.status}, and is ${is?.status}`);
  }

  /** When it is looked at follows from the row as it stands, not from an older one. */
  #check(inc: Incarnation, row: ScheduleRow, fail: (invariant: string, what: string) => void): void {
    const { attentionAt, checkAt } = row;
    const waits =
      row.buffer.length > 0 ||
      row.waitingRuns.length > 0 ||
      row.backfill !== undefined ||
      row.status === 'deleting' ||
      row.clock.status === 'pending';
    if (waits && attentionAt === undefined) fail('I8', 'waits for something, and says that it does not');
    // That its clock follows it is no change of its version: who had read it before has it looked at for nothing, once.
    const isNews = inc.startedAt <= (this.#followsSince.get(row.id) ?? 0);
    if (!waits && attentionAt !== undefined && !isNews) fail('I8', 'is looked after, and waits for nothing');
    const due = firstUndecided(row);
    const times = [attentionAt, due === undefined ? undefined : due + spreadMs(row, due)];
    const wanted = Math.min(...times.filter((at) => at !== undefined));
    if (checkAt !== (wanted === Number.POSITIVE_INFINITY ? undefined : wanted))
      fail('I8', `is looked at ${checkAt}, and what it is to be looked at for is at ${wanted}`);
  }
}
