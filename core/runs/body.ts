/** A run as it is answered. */
import { isoSecond, isoTime, type Json } from '../contract/common.ts';
import type { AttemptBody, RunBody } from '../contract/runs.ts';
import { NotFound } from '../errors.ts';
import type { Ports } from '../ports.ts';
import * as keys from '../table/itemKeys.ts';
import { triedOf } from '../vms/tried.ts';
import type { AttemptRecord, CancelRecord, RunRow } from './model.ts';
import { payloadOf } from './payload.ts';

/** Runs as they are answered, in the order of the rows. */
export async function bodiesOf(ports: Ports, runs: readonly RunRow[]): Promise<readonly RunBody[]> {
  const inputs = await ports.store.getMany(runs.map((run) => run.inputKey));
  const outputs = await ports.store.getMany(
    runs.filter((run) => run.hasOutput === true).map((run) => keys.runOutput(run.id)),
  );
  const outputOf = new Map(outputs.map((item) => [item?.pk, payloadOf(item)]));
  const now = ports.time.now();
  return runs.map((run, index) =>
    bodyFrom(run, payloadOf(inputs[index]) ?? null, outputOf.get(keys.run(run.id).pk), now),
  );
}

export async function runBody(ports: Ports, run: RunRow): Promise<RunBody> {
  const [body] = await bodiesOf(ports, [run]);
  if (body === undefined) throw new NotFound('run', run.id);
  return body;
}

const optionalTime = <Name extends string>(name: Name, value: number | undefined) =>
  (value === undefined ? {} : { [name]: isoTime(value) }) as { readonly [key in Name]?: string };

function bodyFrom(run: RunRow, input: Json, output: Json | undefined, now: number): RunBody {
  return {
    id: run.id,
    agentId: run.agentId,
    agentVersion: run.agentVersion,
    ...(run.scheduleId !== undefined && { scheduleId: run.scheduleId }),
    ...(run.occurrence !== undefined && { occurrence: isoSecond(run.occurrence) }),
    ...(run.backfillId !== undefined && { backfillId: run.backfillId }),
    trigger: run.trigger,
    ...(run.retryOf !== undefined && { retryOf: run.retryOf }),
    ...(run.parentRunId !== undefined && { parentRunId: run.parentRunId }),
    displayName: run.displayName,
    status: run.status,
    attempt: run.attempt,
    ...(run.attempts !== undefined && { attempts: run.attempts.map(attemptBody) }),
    input,
    ...(output !== undefined && { output }),
    ...(run.verification !== undefined && { verification: run.verification }),
    ...(run.exitCode !== undefined && { exitCode: run.exitCode }),
    ...(run.signal !== undefined && { signal: run.signal }),
    ...(run.terminatedBy !== undefined && { terminatedBy: run.terminatedBy }),
    ...(run.reason !== undefined && { reason: run.reason }),
    evidence: run.evidence,
    ...(run.correction !== undefined && { correction: run.correction }),
    ...(run.cancel !== undefined && { cancel: cancelBody(run.cancel) }),
    ...(run.waiting !== undefined && { waiting: waitingBody(run.waiting) }),
    ...(run.vmId !== undefined && { vmId: run.vmId }),
    createdAt: isoTime(run.createdAt),
    queuedAt: isoTime(run.queuedAt),
    ...optionalTime('provisionedAt', run.provisionedAt),
    ...optionalTime('startedAt', run.startedAt),
    ...optionalTime('endedAt', run.endedAt),
    ...optionalTime('deadlineAt', run.deadlineAt),
    version: run.version,
    asOf: isoTime(now),
  };
}

const attemptBody = (record: AttemptRecord): AttemptBody => ({
  attempt: record.attempt,
  ...(record.vmId !== undefined && { vmId: record.vmId }),
  ...optionalTime('dispatchedAt', record.dispatchedAt),
  ...optionalTime('startedAt', record.startedAt),
  endedAt: isoTime(record.endedAt),
  reason: record.reason,
  evidence: record.evidence,
});

const waitingBody = (waiting: NonNullable<RunRow['waiting']>) => ({
  reason: waiting.reason,
  ...(waiting.tried !== undefined && { tried: triedOf(waiting) }),
  ...optionalTime('nextTryAt', waiting.nextTryAt),
  ...(waiting.maximum !== undefined && { maximum: waiting.maximum }),
  ...(waiting.blockedBy !== undefined && { blockedBy: waiting.blockedBy }),
});

const cancelBody = (cancel: CancelRecord) => ({
  requestedAt: isoTime(cancel.requestedAt),
  requestedBy: cancel.requestedBy,
  reason: cancel.reason,
  cause: cancel.cause,
  ...optionalTime('acknowledgedAt', cancel.acknowledgedAt),
  ...optionalTime('processGoneAt', cancel.processGoneAt),
  ...optionalTime('vmTerminatedAt', cancel.vmTerminatedAt),
  ...(cancel.signals !== undefined && { signals: cancel.signals }),
});
