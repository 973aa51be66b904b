/** Runs, their events and logs for people: what is known, who saw it and when. */
import { Evidence } from '../../core/contract/common.ts';
import type { EventBody, LogRecordBody, RunBody, TriedBody } from '../../core/contract/runs.ts';
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
      // Success that nothing proves must not look like one that is proven.
      isUnverified(run) ? { text: run.status, colour: 'yellow' } : statusCell(run.status),
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
    isUnverified(run) && 'unverified',
    run.waiting && `waiting: ${run.waiting.reason}`,
    run.exitCode !== undefined && run.exitCode !== 0 && `exit code ${run.exitCode}`,
    run.reason,
    run.correction && `corrected: ${correctionText(run.correction)}`,
  ];
  return notes.filter(Boolean).join(', ');
}

/** Whether it succeeded without meeting what its agent declares to prove success. */
const isUnverified = (run: RunBody): boolean => run.verification?.status === 'unverified';

/** What is missing for a success to be proven, or nothing where nothing is. */
export function unverifiedNote(run: RunBody): string | undefined {
  if (!isUnverified(run)) return undefined;
  const missing = run.verification?.checks.filter((check) => !check.met) ?? [];
  const why = missing.map(({ criterion, detail }) => `${criterion}: ${detail}`).join('; ');
  return `${run.status}, but unverified${why === '' ? '' : ` (${why})`}`;
}

export function runDetail(paint: Paint, run: RunBody): string {
  const { asOf } = run;
  const at = (iso: string | undefined) => (iso === undefined ? undefined : when(iso, asOf));
  return fields(paint, [
    ['id', run.id],
    ['run', inline(run.displayName)],
    ['status', isUnverified(run) ? paint('yellow', `${run.status}, unverified`) : status(paint, run.status)],
    ...verificationFields(paint, run),
    ['reason', run.reason && inline(run.reason)],
    ...evidenceFields('evidence', run.evidence, asOf),
    ...correctionFields(paint, run),
    ...waitingFields(run),
    ...cancelFields(run),
    ['agent', `${run.agentId} (version ${run.agentVersion})`],
    ['schedule', run.scheduleId],
    ['occurrence', at(run.occurrence)],
    ['trigger', inline(`${run.trigger.kind} by ${run.trigger.by}`)],
    ['retry of', run.retryOf],
    ['parent run', run.parentRunId],
    ['attempt', String(run.attempt)],
    ['  given up', attemptsText(run)],
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
    ['artifacts', artifactsText(run)],
  ]);
}

/** Who saw it, when, and what was seen. */
export const evidenceFields = (label: string, evidence: Evidence, asOf: string): readonly Field[] => [
  [label, `${inline(evidence.source)}, observed ${when(evidence.observedAt, asOf)}`],
  ['', evidence.detail === '' ? undefined : multiline(evidence.detail)],
];

function verificationFields(paint: Paint, { verification }: RunBody): readonly Field[] {
  if (verification === undefined) return [];
  const checks = verification.checks.map(({ criterion, met, detail }) => {
    const text = inline(`${met ? 'met' : 'NOT met'}: ${criterion}: ${detail}`);
    return met ? text : paint('yellow', text);
  });
  const verdict = paint(verification.status === 'verified' ? 'green' : 'yellow', verification.status);
  return [['verification', [verdict, ...checks].join('\n')]];
}

/** Each attempt that was given up: why, when, where, and who saw it. */
function attemptsText({ attempts, asOf }: RunBody): string | undefined {
  if (attempts === undefined || attempts.length === 0) return undefined;
  const lines = attempts.flatMap(({ attempt, reason, endedAt, vmId, startedAt, evidence }) => {
    const where = vmId === undefined ? '' : ` on ${vmId}`;
    const begun = startedAt === undefined ? 'its process was not seen to start' : `started ${absolute(startedAt)}`;
    return [
      inline(`${attempt}: ${reason}, ended ${when(endedAt, asOf)}${where}; ${begun}`),
      inline(`   ${evidence.source}, observed ${when(evidence.observedAt, asOf)}: ${evidence.detail}`),
    ];
  });
  return lines.join('\n');
}

function artifactsText({ artifacts }: RunBody): string | undefined {
  if (artifacts === undefined) return undefined;
  return artifacts.map(({ path, bytes }) => inline(`${path} (${bytes} bytes)`)).join('\n') || 'none';
}

const unproven = ({ verification }: NonNullable<RunBody['correction']>): string =>
  verification?.status === 'unverified' ? ' (unverified)' : '';

const correctionText = (correction: NonNullable<RunBody['correction']>): string =>
  `${correction.status}${unproven(correction)}`;

function correctionFields(paint: Paint, run: RunBody): readonly Field[] {
  const { correction } = run;
  if (correction === undefined) return [];
  const code = correction.exitCode === undefined ? '' : ` (exit code ${correction.exitCode})`;
  return [
    // The verdict above stands; this is what was found out after it.
    ['correction', `${status(paint, correction.status)}${code}${unproven(correction)}`],
    ...evidenceFields('  evidence', correction.evidence, run.asOf),
  ];
}

function waitingFields(run: RunBody): readonly Field[] {
  const { waiting } = run;
  if (waiting === undefined) return [];
  return [
    ['waiting', inline(waiting.reason)],
    ['  tried', waiting.tried?.map((each) => inline(poolText(each))).join('\n')],
    ['  position', waiting.position?.toString()],
    ['  limit', waiting.maximum?.toString()],
    ['  blocked by', waiting.blockedBy?.map(inline).join('\n')],
    ['  next try', waiting.nextTryAt && when(waiting.nextTryAt, run.asOf)],
  ];
}

const poolText = ({ type, availabilityZone, market, code }: TriedBody): string => {
  const pool = [type, availabilityZone, market].filter((part) => part !== undefined).join('/');
  return pool === '' ? code : `${pool}: ${code}`;
};

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
    ['  cost', cancel.billed && billedText(cancel.billed)],
  ];
}

const billedText = ({ seconds, final }: NonNullable<NonNullable<RunBody['cancel']>['billed']>): string =>
  `${seconds.toFixed(1)} s billed after the request${final ? '' : ', still counting'}`;

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

/**
 * One line of a live timeline: it cannot be aligned with lines that are still to come.
 * @param about whose event it is, where they are of several things
 */
export function eventLine(paint: Paint, event: Omit<EventBody, 'sequence'>, about = ''): string {
  // Most events are named after the status that they bring: saying it once is enough.
  const named = event.status !== undefined && event.type.endsWith(`.${event.status}`);
  const type = named ? statusPainted(paint, event.status, event.type) : inline(event.type);
  const word = event.status === undefined || named ? '' : ` ${status(paint, event.status)}`;
  const detail = detailText(event);
  const whose = about === '' ? '' : `  ${inline(about)}`;
  return `${paint('dim', absolute(event.at))}  ${type}${word}${whose}${detail === '' ? '' : `  ${inline(detail)}`}`;
}

/** Facts of an event in a fixed order, what was seen and by whom first: the API does not order them. */
function detailText(event: Pick<EventBody, 'detail'>): string {
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
    isUnverified(run) && 'unverified',
    run.exitCode !== undefined && `exit code ${run.exitCode}`,
    run.signal && `signal ${run.signal}`,
    run.reason,
    run.startedAt && run.endedAt && `took ${span(Date.parse(run.endedAt) - Date.parse(run.startedAt))}`,
    `seen by ${run.evidence.source}`,
    run.correction && `corrected: ${correctionText(run.correction)}`,
  ];
  return `${run.id} ${status(paint, run.status)} (${inline(facts.filter(Boolean).join(', '))})`;
}

/** What a record holds, as it was written. */
export const recordBytes = (record: LogRecordBody): Buffer =>
  record.base64 === undefined ? Buffer.from(record.text ?? '', 'utf8') : Buffer.from(record.base64, 'base64');
