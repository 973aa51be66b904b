/** System status, honest: each part publishes its own proof of life; nothing is shown that no part has published. */
import type { CoreConfig } from './config.ts';
import { formatDuration, isoTime } from './contract/common.ts';
import type { LimitsBody, PartBody, PartStatus, SystemBody } from './contract/system.ts';
import type { Log, Ports } from './ports.ts';
import * as keys from './table/itemKeys.ts';
import type { Value } from './table/model.ts';
import { asRow, type RowBase, SCHEMA_VERSION } from './table/rows.ts';

/** The parts that publish. The store does not: a read that was answered is its proof. */
export const SYSTEM_PARTS = ['clock', 'watchdog', 'events', 'workflow', 'audit'] as const;
export type SystemPart = (typeof SYSTEM_PARTS)[number];

export interface PartRow extends RowBase {
  readonly part: SystemPart;
  readonly at: number;
  readonly owner: string;
  /** Absent where it works only when there is work. */
  readonly promisedWithinSeconds?: number;
  readonly detail: Readonly<Record<string, string | number>>;
}

export interface Proof {
  readonly owner: string;
  readonly detail: Readonly<Record<string, string | number>>;
  readonly promisedWithinSeconds?: number;
  /** When it did what it gives proof of; now, where that is not said. */
  readonly at?: number;
  /** What the part keeps beside it for itself. */
  readonly more?: Readonly<Record<string, Value>>;
}

/** Said by a part of itself, when it has done its work. */
export async function publishProof(
  ports: Pick<Ports, 'store' | 'time'>,
  part: SystemPart,
  { owner, detail, promisedWithinSeconds, at = ports.time.now(), more = {} }: Proof,
): Promise<void> {
  const row: PartRow = {
    ...keys.system(part),
    schemaVersion: SCHEMA_VERSION,
    tenantId: 'system',
    part,
    at,
    owner,
    ...(promisedWithinSeconds !== undefined && { promisedWithinSeconds }),
    detail,
  };
  await ports.store.transact([{ kind: 'put', item: { ...row, ...more } }]);
}

/** Publishes each part at most once in so long: proof of life, not a stream of writes. A failure is told to the log only. */
export function proofPublisher(
  ports: Pick<Ports, 'store' | 'time'> & { readonly log: Log },
  everyMs: number,
): (part: SystemPart, proof: Proof) => Promise<void> {
  const last = new Map<SystemPart, number>();
  return async (part, proof) => {
    const now = ports.time.now();
    if (now - (last.get(part) ?? 0) < everyMs) return;
    last.set(part, now);
    await publishProof(ports, part, proof).catch((error: unknown) =>
      ports.log.warn('system.proof_not_published', { part, error: String(error) }),
    );
  };
}

export async function readSystem(ports: Pick<Ports, 'store' | 'time' | 'metrics' | 'config'>): Promise<SystemBody> {
  const rows = await ports.store.getMany(SYSTEM_PARTS.map((part) => keys.system(part)));
  const now = ports.time.now();
  const asOf = isoTime(now);
  const metrics = ports.metrics.totals?.();
  return {
    version: { schema: SCHEMA_VERSION },
    parts: [
      // This very read is the store's proof.
      { name: 'store', owner: 'table', status: 'alive', lastProofAt: asOf, detail: {}, asOf },
      ...SYSTEM_PARTS.map((part, index) => partBody(part, asRow<PartRow>(rows[index]), now)),
    ],
    limits: limitsBody(ports.config),
    ...(metrics !== undefined && { metrics }),
    asOf,
  };
}

const limitsBody = (config: CoreConfig): LimitsBody => ({
  idempotencyKeyRetention: formatDuration(config.idempotencyKeySeconds),
  requestsPerMinute: config.maxRequestsPerMinute,
  inputBytes: config.maxInputBytes,
  metadataBytes: config.maxMetadataBytes,
  unconfirmedFiresPerDay: config.confirmFiresPerDay,
});

function partBody(part: SystemPart, row: PartRow | undefined, now: number): PartBody {
  const asOf = isoTime(now);
  if (row === undefined) return { name: part, status: 'unknown', detail: {}, asOf };
  const { at, owner, promisedWithinSeconds, detail } = row;
  return {
    name: part,
    owner,
    status: statusOf(row, now),
    lastProofAt: isoTime(at),
    ...(promisedWithinSeconds !== undefined && { promisedWithinSeconds }),
    detail,
    asOf,
  };
}

function statusOf({ at, promisedWithinSeconds }: PartRow, now: number): PartStatus {
  if (promisedWithinSeconds === undefined) return 'seen';
  return now - at <= promisedWithinSeconds * 1000 ? 'alive' : 'silent';
}
