/** Positions in the table, as callers get them to go on from. */
import { InvalidRequest } from '../../core/errors.ts';
import type { Range } from '../../core/table/model.ts';

export const encodeText = (text: string): string => Buffer.from(text).toString('base64url');
export const decodeText = (text: string): string => Buffer.from(text, 'base64url').toString('utf8');

/** Callers get positions as cursors, so a foreign one is their mistake; DynamoDB would call it a validation error. */
export function decodeAfter(range: Range): string | undefined {
  if (range.after === undefined) return undefined;
  const sk = decodeText(range.after);
  const isOutside = (range.from !== undefined && sk < range.from) || (range.to !== undefined && sk > range.to);
  if (sk === '' || !sk.startsWith(range.prefix ?? '') || isOutside)
    throw new InvalidRequest('The cursor is not one of ours.', [
      { pointer: 'cursor', message: 'must be the nextCursor of the page before' },
    ]);
  return sk;
}
