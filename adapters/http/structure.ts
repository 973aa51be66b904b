/** What JSON can say and Candor cannot keep: found before validation, so that nothing is changed in silence. */
import type { FieldError } from '../../core/errors.ts';

/** Arrays and objects inside each other, the body itself included. */
export const JSON_DEPTH_MAX = 64;

/** A JSON pointer (RFC 6901) to a place in a body. */
export const pointerTo = (path: readonly PropertyKey[]): string =>
  path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

/**
 * The first thing in a parsed JSON value that could not be kept as it is: nesting beyond {@link JSON_DEPTH_MAX}, a
 * number beyond a double, a text that is not Unicode, or a field that JavaScript takes for an object's prototype.
 */
export function structureError(value: unknown, path: readonly PropertyKey[] = []): FieldError | undefined {
  if (typeof value === 'string')
    return value.isWellFormed() ? undefined : at(path, 'must be Unicode text: it has half of a surrogate pair');
  if (typeof value === 'number')
    return Number.isFinite(value) ? undefined : at(path, 'must be a number that a 64-bit float can hold');
  if (typeof value !== 'object' || value === null) return undefined;
  // The pointer names the field that holds the nesting: 64 steps of a path help nobody.
  if (path.length >= JSON_DEPTH_MAX)
    return at(path.slice(0, 1), `must not be nested deeper than ${JSON_DEPTH_MAX} levels`);
  for (const [name, member] of Array.isArray(value) ? value.entries() : Object.entries(value)) {
    const here = [...path, name];
    if (name === '__proto__') return at(here, 'must not be called __proto__');
    if (typeof name === 'string' && !name.isWellFormed()) return at(path, 'must have field names of Unicode text');
    const error = structureError(member, here);
    if (error !== undefined) return error;
  }
  return undefined;
}

const at = (path: readonly PropertyKey[], message: string): FieldError => ({ pointer: pointerTo(path), message });
