/** What DynamoDB counts of an item, by its documented rules: names and values in bytes, index entries by their keys. */
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { INDEX_KEYS } from '../core/table/model.ts';

export type Attributes = Readonly<Record<string, AttributeValue>>;

const textBytes = (text: string): number => Buffer.byteLength(text);

/** About a byte for two digits, and one more. */
const numberBytes = (number: string): number => {
  const digits = number.replace(/^-?0*\.?0*|[-.]/g, '').replace(/0+$/, '');
  return Math.ceil(digits.length / 2) + 1 + (number.startsWith('-') ? 1 : 0);
};

function valueBytes(value: AttributeValue): number {
  if (value.S !== undefined) return textBytes(value.S);
  if (value.N !== undefined) return numberBytes(value.N);
  if (value.L !== undefined) return 3 + value.L.reduce((sum, each) => sum + 1 + valueBytes(each), 0);
  if (value.M !== undefined)
    return 3 + Object.entries(value.M).reduce((sum, [name, each]) => sum + 1 + textBytes(name) + valueBytes(each), 0);
  return 1;
}

export const itemBytes = (item: Attributes): number =>
  Object.entries(item).reduce((sum, [name, value]) => sum + textBytes(name) + valueBytes(value), 0);

/** Each started KB, at least one. */
export const writeUnitsOf = (bytes: number): number => Math.max(1, Math.ceil(bytes / 1024));

/** Entries that a write makes and removes in the indexes: a changed key is one of each. */
export function indexWrites(before: Attributes | undefined, after: Attributes | undefined): number {
  const entryOf = (item: Attributes | undefined, { partition, sort }: { partition: string; sort: string }) => {
    const [at, by] = [item?.[partition], item?.[sort]];
    return at === undefined || by === undefined ? undefined : JSON.stringify([at, by]);
  };
  return Object.values(INDEX_KEYS).reduce((sum, index) => {
    const [old, fresh] = [entryOf(before, index), entryOf(after, index)];
    return old === fresh ? sum : sum + (old === undefined ? 0 : 1) + (fresh === undefined ? 0 : 1);
  }, 0);
}
