/** What the API answers about schedules when it is asked a question: previews, reasons, dry runs, backfills. */
import type {
  BackfillBody,
  DryRunBody,
  ExplainBody,
  OccurrenceBody,
  PreviewBody,
} from '../../core/contract/schedules.ts';
import { absolute, type Field, fields, inline, type Paint, status, table, when } from '../text.ts';
import { evidenceFields } from './runs.ts';
import { cadenceText } from './schedules.ts';

/** The times, then what the real clock is told. The warnings are said apart: they are no data. */
export function previewText(paint: Paint, preview: PreviewBody): string {
  const times = table(
    paint,
    ['UTC', 'LOCAL'],
    preview.occurrences.map(({ utc, local }) => [absolute(utc), local]),
  );
  const { awsExpression: aws, awsProblem: problem } = preview;
  const clock = fields(paint, [
    ['AWS expression', aws && inline(`${aws.expression} in ${aws.timezone}`)],
    ['AWS', problem && `${paint('yellow', 'cannot say it')}: ${inline(problem.problem)}\n${inline(problem.remedy)}`],
  ]);
  return preview.occurrences.length === 0 ? clock : `${times}\n\n${clock}`;
}

export const warningLines = (paint: Paint, warnings: readonly string[]): readonly string[] =>
  warnings.map((warning) => `${paint('yellow', 'Warning:')} ${inline(warning)}`);

/** The answer in one sentence, then everything that it rests on. */
export function explainText(paint: Paint, explain: ExplainBody): string {
  const { asOf, nearest, revision, occurrence, run, blockingRun, policy } = explain;
  const at = (iso: string | undefined) => iso && when(iso, asOf);
  const facts = fields(paint, [
    ['at', at(explain.at)],
    ['expected', explain.expected ? 'yes' : 'no'],
    ['the one before', at(nearest.before)],
    ['the one after', at(nearest.after)],
    ...(occurrence === undefined ? [] : occurrenceFields(paint, occurrence, asOf)),
    ['run', run && inline(`${run.runId} ${run.status}${run.reason === undefined ? '' : ` (${run.reason})`}`)],
    ...(run === undefined ? [] : evidenceFields('  evidence', run.evidence, asOf)),
    ['blocking run', blockingRun && inline(`${blockingRun.runId} ${blockingRun.status}`)],
    ['  started', at(blockingRun?.startedAt)],
    ['  ended', at(blockingRun?.endedAt)],
    ['cadence then', revision && inline(cadenceText(revision.cadence))],
    ['  revision', revision && inline(`${revision.specVersion} from ${when(revision.from, asOf)} by ${revision.by}`)],
    ['  active', revision && (revision.active ? 'yes' : 'no')],
    ['overlap', policy.overlapPolicy],
    ['catch-up', policy.catchupWindow],
    ['status now', status(paint, policy.status)],
  ]);
  return `${paint('bold', inline(explain.answer))}\n\n${facts}`;
}

const occurrenceFields = (paint: Paint, occurrence: OccurrenceBody, asOf: string): readonly Field[] => [
  [
    'ledger',
    `${status(paint, occurrence.disposition)}${inline(occurrence.reason === undefined ? '' : ` (${occurrence.reason})`)}`,
  ],
  ['  range', occurrence.through && `${absolute(occurrence.occurrence)} … ${absolute(occurrence.through)}`],
  ['  decided', `${when(occurrence.decidedAt, asOf)}, ${occurrence.latenessSeconds}s late`],
  ...evidenceFields('  evidence', occurrence.evidence, asOf),
];

/** What would go and what would come, in the order of time; then what stays and what would overlap. */
export function dryRunText(paint: Paint, dryRun: DryRunBody): string {
  const { added, removed, overlaps, range } = dryRun;
  const changes = [
    ...removed.map((at) => ({ at, line: paint('red', `- ${absolute(at)}`) })),
    ...added.map((at) => ({ at, line: paint('green', `+ ${absolute(at)}`) })),
  ].sort((left, right) => (left.at < right.at ? -1 : 1));
  const facts = fields(paint, [
    ['range', `${absolute(range.from)} … ${absolute(range.to)}`],
    ['unchanged', String(dryRun.unchanged)],
    ['overlaps', overlapText(overlaps)],
    ['version', `${dryRun.version} (nothing has been changed)`],
  ]);
  const more = dryRun.truncated ? ['… and more than are listed'] : [];
  const list = changes.length === 0 ? ['No occurrence would be added or removed.'] : changes.map(({ line }) => line);
  return `${[...list, ...more].join('\n')}\n\n${facts}`;
}

function overlapText({ predicted, p95Seconds, sample, first }: DryRunBody['overlaps']): string {
  if (p95Seconds === undefined) return 'not known: no run of it has ended';
  const of = `95 % of ${sample} past runs took up to ${p95Seconds}s`;
  return predicted === 0
    ? `none predicted (${of})`
    : `${predicted} predicted (${of})${first ? `, first ${absolute(first)}` : ''}`;
}

export function backfillDetail(paint: Paint, backfill: BackfillBody): string {
  const facts = fields(paint, [
    ['id', backfill.backfillId],
    ['schedule', backfill.scheduleId],
    ['status', status(paint, backfill.status)],
    ['overlap', backfill.overlapPolicy],
    ['runs', String(backfill.items.length)],
    ['remaining', String(backfill.remaining)],
    ['left alone', backfill.leftAlone === 0 ? undefined : `${backfill.leftAlone} that have had a run`],
    ['created', `${when(backfill.createdAt, backfill.asOf)} by ${inline(backfill.createdBy)}`],
  ]);
  if (backfill.items.length === 0) return facts;
  const items = backfill.items.map(({ occurrence, runId }) => [absolute(occurrence), runId]);
  return `${facts}\n\n${table(paint, ['OCCURRENCE', 'RUN'], items)}`;
}
