/** The operating log of one machine: one JSON object per line on stderr. */
import type { Log } from '../../core/ports.ts';
import { redacted } from '../system/redact.ts';

const LEVELS = ['info', 'warn', 'error'] as const;
export type LogLevel = (typeof LEVELS)[number];

export interface LogOptions {
  /** Lines below this level are left out; `silent` leaves out all of them. */
  readonly level: LogLevel | 'silent';
  /** Where a line goes, its newline included; stderr unless a test listens. */
  readonly write?: (line: string) => void;
  readonly now?: () => number;
}

/** Errors have no enumerable fields: without this they would be logged as `{}`. */
function plain(_key: string, value: unknown): unknown {
  if (value instanceof Error)
    return { name: value.name, message: value.message, ...(value.cause !== undefined && { cause: value.cause }) };
  if (typeof value === 'string') return redacted(value);
  return typeof value === 'bigint' ? value.toString() : value;
}

function lineOf(at: number, level: LogLevel, event: string, facts: Readonly<Record<string, unknown>>): string {
  const head = { at: new Date(at).toISOString(), level, event };
  try {
    return `${JSON.stringify({ ...head, ...facts, ...head }, plain)}\n`;
  } catch {
    // A fact that refers to itself must not cost the line.
    return `${JSON.stringify({ ...head, facts: 'could not be written as JSON' })}\n`;
  }
}

export function createLog(options: LogOptions): Log {
  const { level: least, write = (line) => process.stderr.write(line), now = Date.now } = options;
  const threshold = least === 'silent' ? LEVELS.length : LEVELS.indexOf(least);
  const at =
    (level: LogLevel) =>
    (event: string, facts: Readonly<Record<string, unknown>> = {}): void => {
      if (LEVELS.indexOf(level) >= threshold) write(lineOf(now(), level, event, facts));
    };
  return { info: at('info'), warn: at('warn'), error: at('error') };
}
