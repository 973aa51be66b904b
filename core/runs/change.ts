/** The one way to write a run after its creation: the row's next version, guarded by the one that was read, and its event. */
import type { CoreConfig } from '../config.ts';
import type { Evidence, Json } from '../contract/common.ts';
import type { RunStatus } from '../contract/runs.ts';
import { deadlineAttributes } from '../table/deadline.ts';
import * as keys from '../table/itemKeys.ts';
import { eq, type Guard, guard, type Value, type Write } from '../table/model.ts';
import { asValue } from '../table/rows.ts';
import { appendEvent, eventKey } from './events.ts';
import type { RunRow } from './model.ts';

export interface RunChange {
  readonly type: string;
  /** Absent where the change is not one of status. */
  readonly status?: RunStatus;
  readonly evidence?: Evidence;
  readonly set?: Readonly<Record<string, Value | undefined>>;
  readonly detail?: Readonly<Record<string, Json | undefined>>;
  /** With a change of status only: the promise, and when the watchdog looks. `null` takes both away. */
  readonly deadlineAt?: number | null;
  readonly guards?: readonly Guard[];
}

export function changeRun(
  config: CoreConfig,
  run: RunRow,
  change: RunChange,
  now: number,
  writer: string,
): readonly Write[] {
  const version = run.version + 1;
  const deadline = deadlineAttributes(config, 'RUN', run.id, change.deadlineAt);
  return [
    {
      kind: 'update',
      key: keys.run(run.id),
      set: {
        ...(change.status !== undefined && { status: change.status }),
        ...(change.evidence !== undefined && { evidence: asValue(change.evidence) }),
        ...deadline,
        ...change.set,
        version,
      },
      guards: [
        guard('run.unchanged', eq('version', run.version)),
        guard('run.sameAttempt', eq('attempt', run.attempt)),
        ...(change.guards ?? []),
      ],
    },
    appendEvent(config, {
      tenantId: run.tenantId,
      subject: 'run',
      subjectId: run.id,
      sequence: version,
      type: change.type,
      at: now,
      status: change.status,
      detail: { ...change.detail, ...(change.evidence !== undefined && { evidence: { ...change.evidence } }) },
      writer,
    }),
  ];
}

/** Where the event of the next change will stand: the proof that a write was ours. */
export const nextEventKey = (run: Pick<RunRow, 'id' | 'version'>) => eventKey('run', run.id, run.version + 1);

export const evidence = (source: string, now: number, detail: string): Evidence => ({
  source,
  observedAt: new Date(now).toISOString(),
  detail,
});
