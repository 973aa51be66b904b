/**
 * What is kept of a request that carried an `Idempotency-Key`: one item, written in the transaction of the request's effect.
 * So there is a record exactly where there is an effect, and no crash can leave one without the other.
 */
import { createHash } from 'node:crypto';
import type { Ports } from '../ports.ts';
import { garbageAttributes } from '../table/garbage.ts';
import * as keys from '../table/itemKeys.ts';
import { absent, guard, type Item, type Write } from '../table/model.ts';
import { asItem, asRow, type RowBase, SCHEMA_VERSION } from '../table/rows.ts';

/** An answer as it was first given. */
export interface Answer {
  readonly status: number;
  /** Those that say what the answer is: type, version, location. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface KeyedRequest {
  readonly tenantId: string;
  /** Hash of who asks for what, where, under which key. */
  readonly scope: string;
  /** Hash of what was asked. */
  readonly payload: string;
  /** The answer says a secret: it is given once, and nothing of it is kept. */
  readonly secret?: boolean;
}

export interface IdempotencyRow extends RowBase {
  readonly payload: string;
  /** Which request had the effect; the same key sent again is another request. */
  readonly requestId: string;
  /** Which of the request's transactions this was written with. */
  readonly transaction: number;
  /** Until then the request may still be at work on its answer. */
  readonly busyUntil: number;
  readonly expiresAt: number;
  /** The id of what the request created, if it did. */
  readonly created?: string;
  readonly answer?: Answer;
}

export interface Scope {
  readonly tenantId: string;
  /** The principal, or the run that asks by its own token. */
  readonly caller: string;
  readonly operation: string;
  readonly path: string;
  readonly key: string;
}

/** Hashed, because keys and paths are of any length, and so that no key of the table gathers one caller's requests. */
export const scopeHash = ({ tenantId, caller, operation, path, key }: Scope): string =>
  hashOf([tenantId, caller, operation, path, key]);

/** The same for values that are equal, whatever the order of their fields. */
export const payloadHash = (parts: readonly unknown[]): string => hashOf(parts.map(sorted));

const hashOf = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex');

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([name, member]) => [name, sorted(member)] as const);
  return Object.fromEntries(members.sort(([left], [right]) => (left < right ? -1 : 1)));
}

/** Undefined where there is none, or its time is over. */
export const readRecord = async (
  ports: Pick<Ports, 'store' | 'time'>,
  { scope }: KeyedRequest,
): Promise<IdempotencyRow | undefined> => standing(await ports.store.get(keys.idempotency(scope)), ports.time.now());

/** A record that still counts. */
export function standing(item: Item | undefined, now: number): IdempotencyRow | undefined {
  const row = asRow<IdempotencyRow>(item);
  return row !== undefined && row.expiresAt > now ? row : undefined;
}

/** The record of a request, for the transaction of its effect. */
export function recordWrite(
  { config, time }: Pick<Ports, 'config' | 'time'>,
  { tenantId, scope, payload }: KeyedRequest,
  facts: Pick<IdempotencyRow, 'requestId' | 'transaction'> & { readonly created: string | undefined },
): Write {
  const now = time.now();
  const { created, ...rest } = facts;
  const row: IdempotencyRow = {
    ...keys.idempotency(scope),
    schemaVersion: SCHEMA_VERSION,
    tenantId,
    payload,
    ...rest,
    ...(created !== undefined && { created }),
    busyUntil: now + config.requestSecondsMax * 1000,
    ...garbageAttributes(config, scope, now + config.idempotencyKeySeconds * 1000),
  };
  const isFree = { op: 'or', any: [absent, { op: 'le', attribute: 'expiresAt', value: now }] } as const;
  return { kind: 'put', item: asItem(row), guards: [guard('idempotency.once', isFree)] };
}

/** The id of what these writes create, where they do: of the first thing that has one and is put where nothing may stand. */
export function createdBy(writes: readonly Write[]): string | undefined {
  for (const write of writes) {
    if (write.kind !== 'put' || !write.guards?.some(({ condition }) => condition.op === 'absent')) continue;
    if (typeof write.item.id === 'string') return write.item.id;
  }
  return undefined;
}
