/** The form of captured output wherever it is kept: numbered chunks, each one record per line. */
import type { LogRecord } from '../../core/ports.ts';

const CHUNK_DIGITS = 8;
export const CHUNK_MAX = 10 ** CHUNK_DIGITS - 1;

/** @throws RangeError when the number cannot be part of a name */
export function chunkName(chunk: number): string {
  if (!Number.isInteger(chunk) || chunk < 0 || chunk > CHUNK_MAX)
    throw new RangeError(`${chunk} is not the number of a chunk`);
  return `${String(chunk).padStart(CHUNK_DIGITS, '0')}.ndjson`;
}

export const chunkText = (records: readonly LogRecord[]): string =>
  records.map((record) => `${JSON.stringify(record)}\n`).join('');

export const recordsOf = (text: string): readonly LogRecord[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LogRecord);
