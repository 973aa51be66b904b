/** A number of 32 bits for a value, the same for the same value: other data is another number, but for one in four thousand million. */

const PRIME = 0x01000193;
const FIRST = 0x811c9dc5;
/** What stands for a value's kind, so that the text `1` is not the number 1, and nothing is not `null`. */
const KINDS = { text: 1, number: 2, list: 3, object: 4, date: 5, bytes: 6, yes: 7, no: 8, null: 9, other: 10 } as const;
/** Beyond it, what stands in what is not looked at: so a ring of objects has an end. */
const DEPTH_MAX = 12;

const double = new Float64Array(1);
const halves = new Uint32Array(double.buffer);

export const digest = (value: unknown): number => mixed(FIRST, value, 0) >>> 0;

function mixed(hash: number, value: unknown, depth: number): number {
  switch (typeof value) {
    case 'string':
      return text(Math.imul(hash ^ KINDS.text, PRIME), value);
    case 'number':
      return numeral(Math.imul(hash ^ KINDS.number, PRIME), value);
    case 'boolean':
      return Math.imul(hash ^ (value ? KINDS.yes : KINDS.no), PRIME);
    case 'object':
      return value === null ? Math.imul(hash ^ KINDS.null, PRIME) : thing(hash, value, depth);
    default:
      return Math.imul(hash ^ KINDS.other, PRIME);
  }
}

function text(hash: number, value: string): number {
  let found = Math.imul(hash ^ value.length, PRIME);
  for (let at = 0; at < value.length; at++) found = Math.imul(found ^ value.charCodeAt(at), PRIME);
  return found;
}

function numeral(hash: number, value: number): number {
  if ((value | 0) === value) return Math.imul(hash ^ value, PRIME);
  double[0] = value;
  return Math.imul(Math.imul(hash ^ (halves[0] as number), PRIME) ^ (halves[1] as number), PRIME);
}

function thing(hash: number, value: object, depth: number): number {
  if (depth > DEPTH_MAX) return hash;
  if (Array.isArray(value)) {
    let found = Math.imul(Math.imul(hash ^ KINDS.list, PRIME) ^ value.length, PRIME);
    for (const each of value) found = mixed(found, each, depth + 1);
    return found;
  }
  if (value instanceof Date) return numeral(Math.imul(hash ^ KINDS.date, PRIME), value.getTime());
  if (value instanceof Uint8Array) {
    let found = Math.imul(Math.imul(hash ^ KINDS.bytes, PRIME) ^ value.length, PRIME);
    for (const byte of value) found = Math.imul(found ^ byte, PRIME);
    return found;
  }
  const kind = Math.imul(hash ^ KINDS.object, PRIME);
  // The message of an error is none of the members that are gone through.
  const own = value instanceof Error ? text(kind, value.message) : kind;
  return members(own, value as Readonly<Record<string, unknown>>, depth);
}

function members(hash: number, value: Readonly<Record<string, unknown>>, depth: number): number {
  let found = hash;
  for (const name in value) found = mixed(text(found, name), value[name], depth + 1);
  return found;
}
