/** Shapes that several resources share. This folder is all that the runner, the CLI and the console know of the server. */
import * as z from 'zod';
import { formatDuration, parseDuration } from './times.ts';

export * from './times.ts';

export interface DurationLimits {
  readonly minSeconds: number;
  readonly maxSeconds: number;
}

/** A duration within limits, as seconds. */
export const Duration = ({ minSeconds, maxSeconds }: DurationLimits) =>
  z.string().transform((text, context) => {
    const value = parseDuration(text);
    const limits = `between ${formatDuration(minSeconds)} and ${formatDuration(maxSeconds)}`;
    if (value === undefined) {
      context.addIssue({ code: 'custom', message: `must be an ISO 8601 duration such as PT15M (or 15m), ${limits}` });
      return z.NEVER;
    }
    if (value < minSeconds || value > maxSeconds) {
      context.addIssue({ code: 'custom', message: `must be ${limits}` });
      return z.NEVER;
    }
    return value;
  });

/** An instant with an offset or `Z`, to the second; as epoch milliseconds. */
export const Instant = z.string().transform((text, context) => {
  const date = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.exec(text)?.[1];
  const value = date !== undefined && isDate(date) ? Date.parse(text) : Number.NaN;
  // With an offset a time may lie beyond the years that it is written with.
  if (Number.isNaN(value) || !/^\d{4}-/.test(new Date(value).toISOString())) {
    context.addIssue({
      code: 'custom',
      message: 'must be an ISO 8601 time with Z or an offset, such as 2027-01-31T09:00:00Z',
    });
    return z.NEVER;
  }
  return Math.floor(value / 1000) * 1000;
});

/** `Date.parse` reads 30 February as 2 March: a date that does not come back as it was sent does not exist. */
function isDate(date: string): boolean {
  const at = Date.parse(`${date}T00:00:00Z`);
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(date);
}

export const Name = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(120, 'must have at most 120 characters')
  .regex(/^[^\p{C}]+$/u, 'must not contain control characters');

/** Any JSON value. Its size is limited by the server (`maxInputBytes`). */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };
export const JsonValue: z.ZodType<Json> = z.json() as z.ZodType<Json>;

export const Metadata = z
  .record(z.string().min(1, 'has an empty name').max(64, 'has a name of more than 64 characters'), z.string().max(512))
  .refine((metadata) => Object.keys(metadata).length <= 50, 'must have at most 50 entries');

export const PageQuery = z.strictObject({
  limit: z.coerce
    .number()
    .int('must be a whole number')
    .min(1, 'must be at least 1')
    .max(100, 'must be at most 100')
    .default(25),
  cursor: z.string().max(2048).optional(),
});

/** Who saw a thing, when (ISO 8601), and what was seen. */
export const Evidence = z.object({ source: z.string(), observedAt: z.string(), detail: z.string() });
export type Evidence = z.infer<typeof Evidence>;

export interface ListBody<T> {
  readonly items: readonly T[];
  readonly nextCursor?: string;
  readonly asOf: string;
}
