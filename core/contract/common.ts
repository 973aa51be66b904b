/** Shapes that several resources share. This folder is all that the runner, the CLI and the console know of the server. */
import * as z from 'zod';
import { formatDuration, parseDuration } from './times.ts';

export * from './times.ts';

export interface DurationLimits {
  readonly minSeconds: number;
  readonly maxSeconds: number;
}

/** What {@link parseDuration} reads, as a pattern for whoever cannot call it. */
const PARTS = '(\\d+H(\\d+M)?(\\d+S)?|\\d+M(\\d+S)?|\\d+S)';
const durationText = z.string().meta({
  pattern: `^\\s*(P(\\d+W(\\d+D)?|\\d+D)(T${PARTS})?|PT${PARTS}|\\d+\\s*[smhd])\\s*$`,
});

/** A duration within limits, as seconds. */
export const Duration = ({ minSeconds, maxSeconds }: DurationLimits) =>
  durationText.transform((text, context) => {
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

const instantText = z.string().meta({
  pattern:
    '^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])T([01]\\d|2[0-4]):[0-5]\\d(:[0-5]\\d(\\.\\d+)?)?(Z|[+-]([01]\\d|2[0-4]):[0-5]\\d)$',
});

/** An instant with an offset or `Z`, to the second; as epoch milliseconds. */
export const Instant = instantText.transform((text, context) => {
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

const CONTROLS = 'must not contain control characters';
/**
 * No control characters and none that are not seen (Unicode's Cc and Cf), in ranges, which every engine of regular expressions
 * reads. Characters that no Unicode of ours knows yet are neither.
 */
const VISIBLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is these that it keeps out.
  /^[^\u0000-\u001f\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]*$/u;

export const Name = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(120, 'must have at most 120 characters')
  .regex(VISIBLE, { message: CONTROLS, abort: true })
  // Beyond the first plane engines write a character each in their own way. Tags are there, which only a model reads.
  .refine((name) => !/\p{Cf}/u.test(name), CONTROLS);

/** Any JSON value. Its size is limited by the server (`maxInputBytes`). */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };
export const JsonValue: z.ZodType<Json> = z.json() as z.ZodType<Json>;

export const Metadata = z
  .record(z.string().min(1, 'has an empty name').max(64, 'has a name of more than 64 characters'), z.string().max(512))
  .refine((metadata) => Object.keys(metadata).length <= 50, 'must have at most 50 entries');

export const MetadataBody = z
  .record(z.string(), z.string())
  .describe('What callers keep beside it, as names and texts.');

export const PageQuery = z.strictObject({
  limit: z.coerce
    .number()
    .int('must be a whole number')
    .min(1, 'must be at least 1')
    .max(100, 'must be at most 100')
    .default(25)
    .describe('How many items a page has at most.'),
  cursor: z.string().max(2048).optional().describe('The nextCursor of the page before; absent: the first page.'),
});

/** The type of an answer, by its schema: nobody changes what was answered. */
export type Answered<Schema extends z.ZodType> = Unchangeable<z.output<Schema>>;
type Unchangeable<T> = [Json] extends [T]
  ? T
  : T extends readonly (infer Element)[]
    ? readonly Unchangeable<Element>[]
    : T extends object
      ? { readonly [Name in keyof T]: Unchangeable<T[Name]> }
      : T;

/** An instant as it is answered: UTC, to the second (occurrences) or the millisecond (all else). */
export const Time = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/)
  .meta({ format: 'date-time' });
/** A duration as it is answered. */
export const Iso8601Duration = z
  .string()
  .regex(/^P(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?$/)
  .meta({ format: 'duration' });

/** An id, by what it begins with. */
const id = (prefix: string, of: string) =>
  z
    .string()
    .regex(new RegExp(`^${prefix}[0-9a-hjkmnp-tv-z]{26}$`))
    .describe(`The id of ${of}.`);
export const AgentId = id('agt_', 'an agent');
export const ScheduleId = id('sch_', 'a schedule');
export const BackfillId = id('bkf_', 'a backfill');
export const RunId = id('run_', 'a run');
export const VmId = id('vm_', 'a VM');

/** What every resource is answered with. */
export const asOf = Time.describe('When the server looked.');
export const Version = z
  .int()
  .min(1)
  .describe('Counts the changes of the resource; its ETag is this number in quotes.');
export const PrincipalId = z.string().describe('The id of a principal.');

/** Who saw a thing, when (ISO 8601), and what was seen. */
export const Evidence = z
  .object({
    source: z.string().describe('Who saw it.'),
    observedAt: Time,
    detail: z.string().describe('What was seen.'),
  })
  .meta({ id: 'Evidence', description: 'Who saw a thing, when, and what was seen.' });
export type Evidence = z.infer<typeof Evidence>;

/** A page of a list. */
export const listFields = <Item extends z.ZodType>(item: Item) => ({
  items: z.array(item),
  nextCursor: z.string().exactOptional().describe('Where the next page begins; absent on the last one.'),
  asOf,
});
export const ListBody = <Item extends z.ZodType>(item: Item) => z.strictObject(listFields(item));
export interface ListBody<T> {
  readonly items: readonly T[];
  readonly nextCursor?: string;
  readonly asOf: string;
}
