import type { Json } from '../contract/common.ts';
import type { Ports } from '../ports.ts';
import { appendEvent } from '../runs/events.ts';
import * as keys from '../table/itemKeys.ts';
import { absent, eq, guard, type Key, type Value, type Write } from '../table/model.ts';
import { asItem, asValue, type RowBase, SCHEMA_VERSION } from '../table/rows.ts';
import { sameFields } from './cadenceRequest.ts';
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
export function revisionRow(schedule: ScheduleRow, changed?: readonly string[]): Write {
  const inForce = revisionInForce(schedule);
  const key = keys.revision(schedule.id, inForce.specVersion);
  return keptRevision(schedule, key, { ...inForce, ...(changed !== undefined && { changed }) });
}

/** An edit that leaves the times alone: only who reads the revisions needs it, so the row does not carry it. */
function editRow(after: ScheduleRow, version: number, edit: { readonly changed: readonly string[] } & EditedBy): Write {
  const inForce = revisionInForce(after);
  const from = Math.max(edit.from, inForce.from);
  return keptRevision(after, keys.edit(after.id, inForce.specVersion, version), { ...inForce, ...edit, from });
}

type EditedBy = Pick<Revision, 'from' | 'by'>;

function revisionInForce(schedule: ScheduleRow): Revision {
  const inForce = schedule.revisions.at(-1);
  if (inForce === undefined) throw new Error(`schedule ${schedule.id} has no revision`);
  return inForce;
}

function keptRevision(schedule: ScheduleRow, key: Key, revision: Omit<RevisionRow, keyof RowBase>): Write {
  const row: RevisionRow = { ...key, schemaVersion: SCHEMA_VERSION, tenantId: schedule.tenantId, ...revision };
  return { kind: 'put', item: asItem(row), guards: [guard('schedule.revisionOnce', absent)] };
}

/** What a revision says was changed, by the API's names. Skips and backfills have events of their own. */
const REVISED_FIELDS = {
  name: 'name',
  status: 'status',
  cadence: 'cadence',
  window: 'window',
  overlapPolicy: 'overlapPolicy',
  catchupWindowSeconds: 'catchupWindow',
  flexibleWindowSeconds: 'flexibleWindow',
  pauseOnFailure: 'pauseOnFailure',
  remainingRuns: 'remainingRuns',
  inputVersion: 'input',
  overrides: 'overrides',
  metadata: 'metadata',
} as const satisfies Partial<Record<keyof ScheduleRow, string>>;

const changedFields = (before: ScheduleRow, after: ScheduleRow): readonly string[] =>
  (Object.keys(REVISED_FIELDS) as (keyof typeof REVISED_FIELDS)[])
    .filter((name) => !sameFields(before[name], after[name]))
    .map((name) => REVISED_FIELDS[name]);

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
  const changed = changedFields(schedule, after);
  if (after.specVersion !== schedule.specVersion) writes.push(revisionRow(after, changed));
  else if (changed.length > 0) writes.push(editRow(after, version, { changed, from: now, by: change.by }));
  return writes;
}
