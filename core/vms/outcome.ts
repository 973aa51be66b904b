/** What a runner's report of one run means for that run. Pure. */
import { type Criteria, outputFault } from '../contract/agentParts.ts';
import { globMatcher } from '../contract/glob.ts';
import type { RegistryEntry } from '../contract/runner.ts';
import type { CancelCause, VerificationBody } from '../contract/runs.ts';
import { evidence } from '../runs/change.ts';
import type { Verdict } from '../runs/finish.ts';
import type { CancelRecord, RunRow } from '../runs/model.ts';

/** The verdict in a report of an end; undefined while the work goes on. */
export function verdictOf(
  run: RunRow,
  entry: RegistryEntry,
  vmId: string,
  now: number,
  criteria?: Criteria,
): Verdict | undefined {
  const source = `runner ${vmId}`;
  const cancel = cancelAfter(run, entry, now);
  const common = {
    ...(entry.logChunks !== undefined && { logChunks: entry.logChunks }),
    ...(run.startedAt === undefined &&
      entry.startedAgoMs !== undefined && { startedAt: startTime(run, entry.startedAgoMs, now) }),
    ...(cancel !== undefined && { cancel }),
  };
  switch (entry.state) {
    case 'ended':
      return {
        ...common,
        ...judged(run, entry, criteria),
        ...(entry.exitCode !== undefined && { exitCode: entry.exitCode }),
        ...(entry.signal !== undefined && { signal: entry.signal }),
        terminatedBy: entry.terminatedBy ?? 'self',
        ...(entry.output !== undefined && { output: entry.output }),
        ...(entry.artifacts !== undefined && entry.artifacts.length > 0 && { artifacts: entry.artifacts }),
        evidence: evidence(source, now, endText(entry)),
      };
    case 'not_started':
      return {
        ...common,
        ...notStarted(run, entry),
        evidence: evidence(source, now, entry.detail ?? 'the runner says that no process was started'),
      };
    case 'gone':
      return {
        ...common,
        status: 'lost',
        reason: 'process_vanished',
        evidence: evidence(
          source,
          now,
          entry.detail ?? 'the process and its shim have vanished without an exit status',
        ),
      };
    default:
      return undefined;
  }
}

/** Nothing starts before it was dispatched, whatever a runner's clock says: its nonsense must not become a date. */
export const startTime = (run: RunRow, startedAgoMs: number, now: number): number =>
  Math.max(run.dispatchedAt ?? run.createdAt, Math.round(now - startedAgoMs));

type Judged = Pick<Verdict, 'status' | 'reason' | 'verification'>;

const CANCEL_REASONS = {
  request: 'cancelled',
  timeout: 'cancelled',
  idle: 'cancelled',
  shutdown: 'candor_stopped',
  overlap: 'displaced',
} as const;

/** The verdict where the end that was asked for came about, by whatever means. */
export const verdictOfCancel = (cause: CancelCause): { readonly status: 'timed_out' | 'cancelled' } => ({
  status: cause === 'timeout' || cause === 'idle' ? 'timed_out' : 'cancelled',
});

/** Why a start that was not made is a fault of the infrastructure, or of what was asked for. */
export const notStartedReason = (entry: RegistryEntry): string =>
  ({ refused: 'not_started', setup: 'setup_failed', repository: 'repository_failed', impossible: 'configuration' })[
    entry.notStartedBecause ?? 'refused'
  ];

function notStarted(run: RunRow, entry: RegistryEntry): Judged {
  if (run.cancel === undefined) return { status: 'failed', reason: notStartedReason(entry) };
  if (run.cancel.cause === 'timeout') return { status: 'timed_out', reason: 'start_timeout' };
  return {
    status: 'cancelled',
    reason: run.cancel.cause === 'request' ? 'cancelled_before_start' : CANCEL_REASONS[run.cancel.cause],
  };
}

/** How it ended decides, not who wished what: work that ended by itself before the signal is not recorded as cancelled. */
function judged(run: RunRow, entry: RegistryEntry, criteria: Criteria | undefined): Judged {
  switch (entry.terminatedBy ?? 'self') {
    case 'cancel':
      return { status: 'cancelled', reason: CANCEL_REASONS[run.cancel?.cause ?? 'request'] };
    case 'timeout':
      return { status: 'timed_out', reason: run.cancel?.timeout ?? 'run_timeout' };
    case 'idle':
      return { status: 'timed_out', reason: 'idle' };
    case 'oom':
      return { status: 'failed', reason: 'out_of_memory' };
    case 'signal':
      return { status: 'failed', reason: 'signal' };
    case 'self':
      if (entry.exitCode !== (criteria?.exitCode ?? 0)) return { status: 'failed', reason: 'exit_code' };
      return { status: 'succeeded', ...(criteria !== undefined && { verification: verify(criteria, entry) }) };
  }
}

/** Each criterion that was declared, and whether what the runner reports meets it. */
function verify(criteria: Criteria, entry: RegistryEntry): VerificationBody {
  const { exitCode, artifact, outputSchema } = criteria;
  const checks: VerificationBody['checks'][number][] = [];
  if (exitCode !== undefined) checks.push({ criterion: 'exitCode', met: true, detail: `exit code ${exitCode}` });
  if (artifact !== undefined) {
    const matches = globMatcher(artifact);
    const found = entry.artifacts?.find(({ path }) => matches(path));
    const detail = found === undefined ? `no artifact is like ${artifact}` : `${found.path}, ${found.bytes} bytes`;
    checks.push({ criterion: 'artifact', met: found !== undefined, detail });
  }
  if (outputSchema !== undefined) {
    const fault =
      entry.outputTruncatedBytes === undefined
        ? outputFault(outputSchema, entry.output)
        : 'it is longer than what is kept, so it was not checked';
    checks.push({ criterion: 'outputSchema', met: fault === undefined, detail: fault ?? 'the output matches' });
  }
  return { status: checks.every(({ met }) => met) ? 'verified' : 'unverified', checks };
}

export function endText(entry: RegistryEntry): string {
  const process = entry.pid === undefined ? 'the process' : `process ${entry.pid}`;
  const end =
    entry.signal !== undefined
      ? `was ended by ${entry.signal}`
      : entry.exitCode !== undefined
        ? `exited with code ${entry.exitCode}`
        : 'ended';
  const sent =
    entry.signalsSent === undefined || entry.signalsSent.length === 0 ? '' : `, after ${entry.signalsSent.join(', ')}`;
  const more = entry.detail === undefined ? '' : `; ${entry.detail}`;
  const cut =
    entry.outputTruncatedBytes === undefined ? '' : `; ${entry.outputTruncatedBytes} bytes of output were cut off`;
  return `${process} ${end}${sent} (terminatedBy: ${entry.terminatedBy ?? 'self'})${cut}${more}`;
}

/** The stages of the cancel that this report proves. */
export function cancelAfter(run: RunRow, entry: RegistryEntry, now: number): CancelRecord | undefined {
  const { cancel } = run;
  if (cancel === undefined) return undefined;
  const over = entry.state === 'ended' || entry.state === 'gone' || entry.state === 'not_started';
  return {
    ...cancel,
    ...(cancel.acknowledgedAt === undefined && over && { acknowledgedAt: now }),
    ...(over && { processGoneAt: Math.max(cancel.requestedAt, now - (entry.endedAgoMs ?? 0)) }),
    ...(entry.signalsSent !== undefined && { signals: entry.signalsSent }),
  };
}
