/**
 * The table as the core sees it: items, guarded writes, pages. The semantics are DynamoDB's (design.md §6), as data,
 * so that one adapter translates them, a simulator can execute them, and every guard has a name that a test can remove.
 */

export type Value =
  | string
  | number
  | boolean
  | null
  | readonly Value[]
  | { readonly [name: string]: Value | undefined };

export interface Key {
  readonly pk: string;
  readonly sk: string;
}

export interface Item extends Key {
  readonly [attribute: string]: Value | undefined;
}

/** A condition on the item as it stands before the write. `absent`/`exists` speak of the whole item. */
export type Condition =
  | { readonly op: 'absent' }
  | { readonly op: 'exists' }
  | { readonly op: 'has'; readonly attribute: string }
  | { readonly op: 'hasNot'; readonly attribute: string }
  | {
      readonly op: 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge';
      readonly attribute: string;
      readonly value: string | number | boolean;
    }
  | { readonly op: 'in'; readonly attribute: string; readonly values: readonly (string | number)[] }
  | { readonly op: 'or'; readonly any: readonly Condition[] };

/** A condition with the name under which tests, errors and the list of guards know it: `<use case>.<what it protects>`. */
export interface Guard {
  readonly name: string;
  readonly condition: Condition;
}

export type Write =
  | { readonly kind: 'put'; readonly item: Item; readonly guards?: readonly Guard[] }
  | {
      readonly kind: 'update';
      readonly key: Key;
      /** Attributes to set; an `undefined` value removes the attribute. */
      readonly set?: Readonly<Record<string, Value | undefined>>;
      /** Numbers to add to (an absent attribute counts as 0). */
      readonly add?: Readonly<Record<string, number>>;
      /** Every write of state is conditional; where one truly need not be, the empty list says that it was thought of. */
      readonly guards: readonly Guard[];
    }
  | { readonly kind: 'delete'; readonly key: Key; readonly guards: readonly Guard[] }
  | { readonly kind: 'check'; readonly key: Key; readonly guards: readonly Guard[] };

export interface Page<T> {
  readonly items: readonly T[];
  /** Opaque position to go on from; absent on the last page. */
  readonly next?: string;
}

/** A range of one partition, strongly consistent. Bounds are inclusive. */
export interface Range {
  readonly pk: string;
  readonly prefix?: string;
  readonly from?: string;
  readonly to?: string;
  readonly descending?: boolean;
  readonly limit: number;
  readonly after?: string;
}

/** A range of an index. Indexes hold keys only and lag behind: what they name is always read from the base table. */
export interface IndexRange {
  readonly index: 'byParent' | 'checks';
  readonly partition: string;
  readonly from?: string | number;
  readonly to?: string | number;
  readonly descending?: boolean;
  readonly limit: number;
  readonly after?: string;
}

/** One entry of an index: whose key it is, and where it stands. */
export interface IndexEntry extends Key {
  readonly sort: string | number;
}

/** The two indexes' key attributes. `checkAt` is a number (epoch milliseconds), so that times order as numbers. */
export const INDEX_KEYS = {
  byParent: { partition: 'listIn', sort: 'listAt' },
  checks: { partition: 'checkIn', sort: 'checkAt' },
} as const;

export const guard = (name: string, condition: Condition): Guard => ({ name, condition });
export const absent: Condition = { op: 'absent' };
export const exists: Condition = { op: 'exists' };
export const eq = (attribute: string, value: string | number | boolean): Condition => ({ op: 'eq', attribute, value });

/** The attribute is as it was read, absent where it was. */
export const asRead = (attribute: string, value: string | number | undefined): Condition =>
  value === undefined ? { op: 'hasNot', attribute } : eq(attribute, value);

/** Evaluates a condition as DynamoDB does: a comparison with an absent attribute is false (`ne` is true). */
export function holds(condition: Condition, item: Readonly<Record<string, unknown>> | undefined): boolean {
  switch (condition.op) {
    case 'absent':
      return item === undefined;
    case 'exists':
      return item !== undefined;
    case 'has':
      return item?.[condition.attribute] !== undefined;
    case 'hasNot':
      return item?.[condition.attribute] === undefined;
    case 'in':
      return condition.values.includes(item?.[condition.attribute] as string | number);
    case 'or':
      return condition.any.some((each) => holds(each, item));
    default: {
      const stored = item?.[condition.attribute];
      if (condition.op === 'ne') return stored !== condition.value;
      if (typeof stored !== typeof condition.value) return false;
      return compare(condition.op, stored as string | number | boolean, condition.value);
    }
  }
}

function compare(
  op: 'eq' | 'lt' | 'le' | 'gt' | 'ge',
  left: string | number | boolean,
  right: string | number | boolean,
) {
  const order =
    typeof left === 'string' && typeof right === 'string' ? textOrder(left, right) : Number(left) - Number(right);
  switch (op) {
    case 'eq':
      return left === right;
    case 'lt':
      return order < 0;
    case 'le':
      return order <= 0;
    case 'gt':
      return order > 0;
    case 'ge':
      return order >= 0;
  }
}

/** DynamoDB orders text by its UTF-8 bytes; JavaScript's `<` orders it by UTF-16 units, which differs beyond U+FFFF. */
function textOrder(left: string, right: string): number {
  const encoder = new TextEncoder();
  const [a, b] = [encoder.encode(left), encoder.encode(right)];
  const differs = a.findIndex((byte, index) => byte !== b[index]);
  return differs < 0 || differs >= b.length ? a.length - b.length : (a[differs] ?? 0) - (b[differs] ?? 0);
}
