import type { Json } from '../contract/common.ts';
import type { Ports } from '../ports.ts';
import { appendEvent } from '../runs/events.ts';
import { keys } from '../table/keys.ts';
import { absent, eq, guard, type Value, type Write } from '../table/model.ts';
import { asItem, asValue, SCHEMA_VERSION } from '../table/rows.ts';
import { derivedOf } from './check.ts';
import { firstUndecided, nextOfAny, prunedRevisions } from './expected.ts';
import type { Revision, RevisionRow, ScheduleRow } from './model.ts';

export interface ScheduleChange {
  readonly type: string;
  readonly after: ScheduleRow;
  readonly by: string;
  readonly detail?: Readonly<Record<string, Json | undefined>>;
}

/** What of a schedule the clock follows. */
export const specRow = (schedule: Pick<ScheduleRow, 'cadence' | 'window'>) => ({
  cadence: schedule.cadence,
  ...(schedule.window !== undefined && { window: schedule.window }),
});

/** The row after an edit that begins a new revision at `now`: earlier occurrences stay with the revisions that expected them. */
export function revised(schedule: ScheduleRow, revision: Omit<Revision, 'specVersion'>): ScheduleRow {
  const specVersion = schedule.specVersion + 1;
  const decidedThrough = decidedBefore(schedule, revision.from);
  // A fire within the allowed skew may have decided a few seconds ahead: what is decided stays with its revision.
  const from = Math.max(revision.from, schedule.decidedThrough + 1);
  return {
    ...schedule,
    specVersion,
    decidedThrough,
    revisions: withRevision(prunedRevisions(schedule.revisions, decidedThrough), { ...revision, from, specVersion }),
    clock: { ...schedule.clock, status: 'pending' },
  };
}

/**
 * An edit in a pause takes the place of the edit before it where no occurrence fell between the two: or they would pile up
 * on the row until the resume. What came before them says the same of that time: nothing.
 */
export function withRevision(revisions: readonly Revision[], next: Revision): readonly Revision[] {
  const last = revisions.at(-1);
  if (last === undefined || last.active || next.active || revisions.length === 1) return [...revisions, next];
  const earlier = revisions.slice(0, -1);
  const isIdle = (planned: readonly Revision[]) =>
    (nextOfAny({ revisions: planned }, last.from - 1) ?? next.from) >= next.from;
  return isIdle(revisions) && isIdle(earlier) ? [...earlier, next] : [...revisions, next];
}

/**
 * Where nothing is due, all that came before now is decided, so its revisions need not be kept: or a schedule that rarely
 * fires and is often edited would outgrow its row. A pause keeps its revisions: the resume counts what it withheld.
 */
function decidedBefore(schedule: ScheduleRow, now: number): number {
  const due = firstUndecided(schedule);
  const isDecided = schedule.status === 'active' && (due === undefined || due >= now);
  return isDecided ? Math.max(schedule.decidedThrough, now - 1) : schedule.decidedThrough;
}

/** The revision in force, kept for good: the row embeds only those that it still needs. */
export function revisionRow(schedule: ScheduleRow): Write {
  const inForce = schedule.revisions.at(-1);
  if (inForce === undefined) throw new Error(`schedule ${schedule.id} has no revision`);
  const row: RevisionRow = {
    ...keys.revision(schedule.id, inForce.specVersion),
    schemaVersion: SCHEMA_VERSION,
    tenantId: schedule.tenantId,
    ...inForce,
  };
  return { kind: 'put', item: asItem(row), guards: [guard('schedule.revisionOnce', absent)] };
}

/** What people may change; everything else belongs to fires and finishes. */
const EDITABLE = [
  'name',
  'status',
  'pause',
  'cadence',
  'window',
  'overlapPolicy',
  'catchupWindowSeconds',
  'flexibleWindowSeconds',
  'pauseOnFailure',
  'failureStreak',
  'remainingRuns',
  'inputVersion',
  'overrides',
  'metadata',
  'revisions',
  'decidedThrough',
  'specVersion',
  'clock',
  'buffer',
  'skips',
  'backfill',
] as const satisfies readonly (keyof ScheduleRow)[];

export function changeSchedule(
  ports: Ports,
  schedule: ScheduleRow,
  change: ScheduleChange,
  now: number,
  writer: string,
): readonly Write[] {
  const version = schedule.version + 1;
  const { after } = change;
  const set: Record<string, Value | undefined> = {};
  for (const name of EDITABLE) if (schedule[name] !== after[name]) set[name] = asValue(after[name]);
  const writes: Write[] = [
    {
      kind: 'update',
      key: keys.schedule(schedule.id),
      set: { ...set, ...derivedOf(ports.config, after, now), version, updatedAt: now },
      guards: [
        guard('schedule.unchanged', eq('version', schedule.version)),
        // The next check is computed from what fires have decided so far.
        guard('schedule.liveSetUnchanged', eq('liveSeq', schedule.liveSeq)),
      ],
    },
    appendEvent(ports.config, {
      tenantId: schedule.tenantId,
      subject: 'schedule',
      subjectId: schedule.id,
      sequence: version,
      type: change.type,
      at: now,
      status: after.status,
      detail: { by: change.by, ...change.detail },
      writer,
    }),
  ];
  if (after.specVersion !== schedule.specVersion) writes.push(revisionRow(after));
  return writes;
}
