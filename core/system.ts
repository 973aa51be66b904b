/** System status, honest: each part publishes its own proof of life; nothing is shown that no part has published. */
import { isoTime } from './contract/common.ts';
import type { Ports } from './ports.ts';
import { keys } from './table/keys.ts';
import type { Value } from './table/model.ts';
import { asRow, type RowBase, SCHEMA_VERSION } from './table/rows.ts';

/** The parts that publish, and who owns each. */
export const SYSTEM_PARTS = {
  clock: 'schedule clock',
  watchdog: 'watchdog',
  events: 'event fan-out',
  workflow: 'provision-vm executions',
} as const;
export type SystemPart = keyof typeof SYSTEM_PARTS;

export interface PartRow extends RowBase {
  readonly part: SystemPart;
  readonly at: number;
  readonly owner: string;
  readonly detail: Readonly<Record<string, string | number>>;
}

export interface SystemBody {
  readonly parts: readonly {
    readonly name: string;
    readonly owner: string;
    /** Absent where the part has never published. */
    readonly lastProofAt?: string;
    readonly detail: Readonly<Record<string, string | number>>;
  }[];
  readonly asOf: string;
}

/** Said by a part of itself, when it has done its work. */
export async function publishProof(
  ports: Pick<Ports, 'store' | 'time'>,
  part: SystemPart,
  owner: string,
  detail: Readonly<Record<string, string | number>>,
  /** What the part keeps beside it for itself. */
  more: Readonly<Record<string, Value>> = {},
): Promise<void> {
  const row: PartRow = {
    ...keys.system(part),
    schemaVersion: SCHEMA_VERSION,
    tenantId: 'system',
    part,
    at: ports.time.now(),
    owner,
    detail,
  };
  await ports.store.transact([{ kind: 'put', item: { ...row, ...more } }]);
}

export async function readSystem(ports: Pick<Ports, 'store' | 'time'>): Promise<SystemBody> {
  const parts = Object.keys(SYSTEM_PARTS) as SystemPart[];
  const rows = await ports.store.getMany(parts.map((part) => keys.system(part)));
  const now = ports.time.now();
  return {
    parts: [
      // This very read is the store's proof.
      { name: 'store', owner: 'table', lastProofAt: isoTime(now), detail: {} },
      ...parts.map((part, index) => {
        const row = asRow<PartRow>(rows[index]);
        return row === undefined
          ? { name: part, owner: SYSTEM_PARTS[part], detail: {} }
          : { name: part, owner: row.owner, lastProofAt: isoTime(row.at), detail: row.detail };
      }),
    ],
    asOf: isoTime(now),
  };
}
