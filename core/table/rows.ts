/** Every stored item says which shape it has; a program never guesses at one that is newer than itself. */
import { CandorError } from '../errors.ts';
import type { Item, Key, Value } from './model.ts';

/** Raised when the shape of stored items changes in a way that an older program would misread. */
export const SCHEMA_VERSION = 1;

export interface RowBase extends Key {
  readonly schemaVersion: number;
  readonly tenantId: string;
}

/** An item as the row type of its key. Refuses items that a newer Candor wrote. */
export function asRow<Row extends RowBase>(item: Item | undefined): Row | undefined {
  if (item === undefined) return undefined;
  const version = item.schemaVersion;
  if (typeof version === 'number' && version > SCHEMA_VERSION)
    throw new CandorError(
      'internal_error',
      `The item ${item.pk} has schema version ${version}; this Candor reads up to ${SCHEMA_VERSION}.`,
      {
        remedy: 'Run the newer version of Candor that wrote it, or restore the data of before the upgrade.',
      },
    );
  return item as unknown as Row;
}

/** A row as an item: the types of rows are plain data by construction. */
export const asItem = (row: RowBase): Item => row as unknown as Item;

/** A part of a row as a value of an update. */
export const asValue = (part: unknown): Value => part as Value;

/** Several attributes of a row as the values of an update. */
export const asValues = (attributes: object): Readonly<Record<string, Value | undefined>> =>
  attributes as Readonly<Record<string, Value | undefined>>;
