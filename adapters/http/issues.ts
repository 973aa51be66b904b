/**
 * What a schema found, in plain words. The contract's own messages begin with a small letter and are kept; the
 * library's ("Invalid input: expected string, received number") begin with a capital, and are said again.
 */
import * as z from 'zod';
import type { FieldError } from '../../core/errors.ts';
import { pointerTo } from './structure.ts';

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** Where the value came from: a field of a body is named by a JSON pointer, a parameter by its name. */
export type Source = 'body' | 'query';

/** One error per wrong field; unknown fields are named one by one, with the nearest known one. */
export function fieldErrors(issues: readonly Issue[], schema: z.ZodType, raw: unknown, source: Source): FieldError[] {
  return issues.flatMap((issue) => {
    if (issue.code !== 'unrecognized_keys') return [fieldError(issue.path, wordsOf(issue, raw, source), source)];
    const known = knownFields(schema, issue.path);
    return issue.keys.map((key) => fieldError([...issue.path, key], unknownField(key, known, source), source));
  });
}

const fieldError = (path: Path, message: string, source: Source): FieldError => ({
  pointer: source === 'query' ? path.join('.') : pointerTo(path),
  message,
});

function wordsOf(issue: Issue, raw: unknown, source: Source): string {
  const value = valueAt(raw, issue.path);
  if (value === undefined && (issue.code === 'invalid_type' || issue.code === 'invalid_value')) return 'is required';
  return /^[A-Z]/.test(issue.message) ? plainWords(issue, value, source) : issue.message;
}

function plainWords(issue: Issue, value: unknown, source: Source): string {
  switch (issue.code) {
    case 'invalid_type': {
      const expected = TYPE_WORDS[issue.expected] ?? 'of another type';
      return source === 'query' ? `must be ${expected}` : `must be ${expected}, got ${typeOf(value)}`;
    }
    case 'too_small':
      return bound(issue.origin, 'at least', issue.minimum);
    case 'too_big':
      return bound(issue.origin, 'at most', issue.maximum);
    case 'invalid_value':
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map(String).join(', ')}`;
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`;
    case 'invalid_key':
      return (
        issue.issues[0]?.message.replace(/^[A-Z].*/, 'has a name that is not valid') ?? 'has a name that is not valid'
      );
    default:
      return 'is not valid';
  }
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
  record: 'an object',
  null: 'null',
};

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'a number' : 'a number with a fraction';
  return { object: 'an object', boolean: 'a boolean', string: 'a string' }[typeof value as string] ?? 'nothing';
}

function bound(origin: string, direction: 'at least' | 'at most', limit: number | bigint): string {
  if (origin === 'string')
    return direction === 'at least' && limit === 1 ? 'must not be empty' : `must have ${direction} ${limit} characters`;
  if (origin === 'array' || origin === 'set') return `must have ${direction} ${limit} entries`;
  return `must be ${direction} ${limit}`;
}

function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Readonly<Record<PropertyKey, unknown>>)[part];
  }
  return value;
}

function unknownField(key: string, known: readonly string[], source: Source): string {
  const what = source === 'query' ? 'is not a known parameter' : 'is not a known field';
  const near = nearest(key, known);
  return near === undefined ? what : `${what}; did you mean ${near}?`;
}

/** The fields that a schema knows at a path; none where it cannot be told. */
function knownFields(schema: z.core.$ZodType, path: Path): readonly string[] {
  const inner = unwrapped(schema);
  const [part, ...rest] = path;
  if (part === undefined) return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
  if (inner instanceof z.ZodArray) return knownFields(inner.element, rest);
  if (inner instanceof z.ZodRecord) return knownFields(inner.valueType, rest);
  if (!(inner instanceof z.ZodObject)) return [];
  const field: unknown = inner.shape[String(part)];
  return field instanceof z.ZodType ? knownFields(field, rest) : [];
}

function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault)
    return unwrapped(schema.unwrap());
  return schema instanceof z.ZodPipe ? unwrapped(schema.in) : schema;
}

const NAME_LENGTH_MAX = 64;

/** The known name that a person may have meant: the same but for case and separators, or at most two letters away. */
function nearest(name: string, known: readonly string[]): string | undefined {
  if (name.length > NAME_LENGTH_MAX) return undefined;
  const fold = (text: string) => text.toLowerCase().replaceAll(/[_\-.\s]/g, '');
  const scored = known
    .map((each) => ({ each, distance: editDistance(fold(name), fold(each)) }))
    .filter(({ each, distance }) => distance <= Math.min(2, Math.floor(each.length / 3)))
    .sort((left, right) => left.distance - right.distance);
  return scored[0]?.each;
}

/** Levenshtein's distance: how many letters must be put in, taken out or changed. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let index = 1; index <= left.length; index++) {
    const next = [index];
    for (let column = 1; column <= right.length; column++) {
      const change = left[index - 1] === right[column - 1] ? 0 : 1;
      next.push(Math.min((row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1, (row[column - 1] ?? 0) + change));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}
