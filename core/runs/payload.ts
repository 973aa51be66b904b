/**
 * Inputs and outputs: any JSON value, kept as JSON text. As DynamoDB's own values they could nest 32 levels only, and
 * numbers beyond 1e125 would be refused; a run's output must never be the reason why its end cannot be stored.
 */
import type { Json } from '../contract/common.ts';
import type { Item, Key } from '../table/model.ts';
import { asRow, SCHEMA_VERSION } from '../table/rows.ts';
import type { PayloadRow } from './model.ts';

export const payloadRow = (key: Key, tenantId: string, value: Json): PayloadRow => ({
  ...key,
  schemaVersion: SCHEMA_VERSION,
  tenantId,
  payload: JSON.stringify(value),
});

/** The value that was stored; undefined where there is no such item. */
export function payloadOf(item: Item | undefined): Json | undefined {
  const row = asRow<PayloadRow>(item);
  return row === undefined ? undefined : (JSON.parse(row.payload) as Json);
}
