/** Runs, their events and logs for people: what is known, who saw it and when. */
import { Evidence } from '../../core/contract/common.ts';
import type { EventBody, LogRecordBody, RunBody } from '../../core/contract/runs.ts';
import type { Page } from '../client.ts';
import {
  absolute,
  type Field,
  fields,
  inline,
  jsonText,
  multiline,
  type Paint,
  relative,
  span,
  status,
  statusCell,
  statusPainted,
  table,
  when,
} from '../text.ts';

export const runTable = (paint: Paint, page: Page<RunBody>): string =>
  table(
    paint,
    ['ID', 'STATUS', 'RUN', 'CREATED', 'TOOK', 'NOTE'],
    page.items.map((run) => [
      run.id,
      statusCell(run.status),
      run.displayName,
      `${absolute(run.createdAt)} (${relative(run.createdAt, page.asOf)})`,
      tookText(run, page.asOf),
      noteText(run),
    ]),
  );

function tookText(run: RunBody, asOf: string | undefined): string | undefined {
  if (run.startedAt === undefined) return undefined;
  const end = run.endedAt ?? asOf;
  return end === undefined ? undefined : span(Date.parse(end) - Date.parse(run.startedAt));
}

function noteText(run: RunBody): string {
  const notes = [
    run.waiting && `waiting: ${run.waiting.reason}`,
    run.exitCode !== undefined && run.exitCode !== 0 && `exit code ${run.exitCode}`,
    run.reason,
    run.correction && `corrected: ${run.correction.status}`,
  ];
  return notes.filter(Boolean).join(', ');
}

export function runDetail(paint: Paint, run: RunBody): string {
  const { asOf } = run;
  const at = (iso: string | undefined) => (iso === undefined ? undefined : when(iso, asOf));
  return fields(paint, [
    ['id', run.id],
    ['run', inline(run.displayName)],
    ['status', status(paint, run.status)],
    ['reason', run.reason && inline(run.reason)],
    ...evidenceFields('evidence', run.evidence, asOf),
    ...correctionFields(paint, run),
    ...waitingFields(run),
    ...cancelFields(run),
    ['agent', `${run.agentId} (version ${run.agentVersion})`],
    ['schedule', run.scheduleId],
    ['occurrence', at(run.occurrence)],
    ['trigger', inline(`${run.trigger.kind} by ${run.trigger.by}`)],
    ['attempt', String(run.attempt)],
    ['VM', run.vmId],
    ['exit code', run.exitCode?.toString()],
    ['signal', run.signal && inline(run.signal)],
    ['terminated by', run.terminatedBy],
    ['created', at(run.createdAt)],
    ['provisioned', at(run.provisionedAt)],
    ['started', at(run.startedAt)],
    ['ended', at(run.endedAt)],
    ['deadline', at(run.deadlineAt)],
    ['version', String(run.version)],
    ['input', jsonText(run.input)],
    ['output', run.output === undefined ? undefined : jsonText(run.output)],
  ]);
}

/** Who saw it, when, and what was seen. */
export const evidenceFields = (label: string, evidence: Evidence, asOf: string): readonly Field[] => [
  [label, `${inline(evidence.source)}, observed ${when(evidence.observedAt, asOf)}`],
  ['', evidence.detail === '' ? undefined : multiline(evidence.detail)],
];

function correctionFields(paint: Paint, run: RunBody): readonly Field[] {
  const { correction } = run;
  if (correction === undefined) return [];
  const code = correction.exitCode === undefined ? '' : ` (exit code ${correction.exitCode})`;
  return [
    // The verdict above stands; this is what was found out after it.
    ['correction', `${status(paint, correction.status)}${code}`],
    ...evidenceFields('  evidence', correction.evidence, run.asOf),
  ];
}

function waitingFields(run: RunBody): readonly Field[] {
  const { waiting } = run;
  if (waiting === undefined) return [];
  return [
    ['waiting', inline(waiting.reason)],
    ['  tried', waiting.tried && inline(waiting.tried.join(', '))],
    ['  position', waiting.position?.toString()],
    ['  limit', waiting.maximum?.toString()],
    ['  next try', waiting.nextTryAt && when(waiting.nextTryAt, run.asOf)],
  ];
}

/** Every stage of a cancel with its time. A stage that was not observed is said to be so, as long as it may still come. */
function cancelFields(run: RunBody): readonly Field[] {
  const { cancel } = run;
  if (cancel === undefined) return [];
  const stage = (iso: string | undefined) => (iso === undefined ? undefined : when(iso, run.asOf));
  const expected = run.endedAt === undefined ? 'not observed yet' : undefined;
  const reason = cancel.reason === '' ? '' : `: ${cancel.reason}`;
  return [
    ['cancel', inline(`${when(cancel.requestedAt, run.asOf)} by ${cancel.requestedBy} (${cancel.cause})${reason}`)],
    ['  acknowledged', stage(cancel.acknowledgedAt) ?? expected],
    ['  process gone', stage(cancel.processGoneAt) ?? expected],
    ['  VM terminated', stage(cancel.vmTerminatedAt)],
    ['  signals', cancel.signals && inline(cancel.signals.join(', '))],
  ];
}

export const eventTable = (paint: Paint, page: Page<EventBody>): string =>
  table(
    paint,
    ['#', 'AT', 'EVENT', 'STATUS', 'DETAIL'],
    page.items.map((event) => [
      String(event.sequence),
      absolute(event.at),
      event.type,
      event.status === undefined ? undefined : statusCell(event.status),
      detailText(event),
    ]),
  );

/** One line of a live timeline: it cannot be aligned with lines that are still to come. */
export function eventLine(paint: Paint, event: EventBody): string {
  // Most events are named after the status that they bring: saying it once is enough.
  const named = event.status !== undefined && event.type.endsWith(`.${event.status}`);
  const type = named ? statusPainted(paint, event.status, event.type) : inline(event.type);
  const word = event.status === undefined || named ? '' : ` ${status(paint, event.status)}`;
  const detail = detailText(event);
  return `${paint('dim', absolute(event.at))}  ${type}${word}${detail === '' ? '' : `  ${inline(detail)}`}`;
}

/** Facts of an event in a fixed order, what was seen and by whom first: the API does not order them. */
function detailText(event: EventBody): string {
  const { evidence, ...facts } = event.detail;
  const seen = Evidence.safeParse(evidence).data;
  const told = Object.entries(seen === undefined ? event.detail : facts)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return [...(seen === undefined ? [] : [`${seen.detail} (${seen.source})`]), ...told].join(' ');
}

/** How a run ended, in one line. */
export function outcomeLine(paint: Paint, run: RunBody): string {
  const facts = [
    run.exitCode !== undefined && `exit code ${run.exitCode}`,
    run.signal && `signal ${run.signal}`,
    run.reason,
    run.startedAt && run.endedAt && `took ${span(Date.parse(run.endedAt) - Date.parse(run.startedAt))}`,
    `seen by ${run.evidence.source}`,
    run.correction && `corrected: ${run.correction.status}`,
  ];
  return `${run.id} ${status(paint, run.status)} (${inline(facts.filter(Boolean).join(', '))})`;
}

/** What a record holds, as it was written. */
export const recordBytes = (record: LogRecordBody): Buffer =>
  record.base64 === undefined ? Buffer.from(record.text ?? '', 'utf8') : Buffer.from(record.base64, 'base64');
