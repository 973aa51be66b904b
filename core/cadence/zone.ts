/**
 * Time zones: which offset is in force when, and which instants a local clock time names. The rules are those of the time
 * zone database inside `Intl`; what it answers is remembered in stretches of constant offset, because one call of it costs
 * about 2 µs.
 */
import { MINUTE_MS } from './wall.ts';

/** A stretch of time with one offset. `to` is exclusive; all in milliseconds. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly offset: number;
}

/** A change of the offset at the instant `at`, as by daylight saving time. */
export interface OffsetChange {
  readonly at: number;
  readonly before: number;
  readonly after: number;
}

export type WallInstant =
  | { readonly kind: 'instant'; readonly at: number }
  /** The clock jumps over this local time; `resumesAt` is the first local time after the jump. */
  | { readonly kind: 'gap'; readonly resumesAt: number };

interface ZoneMemo {
  readonly format: Intl.DateTimeFormat;
  /** UTC, the commonest zone, needs no questions. */
  readonly constant: Span | undefined;
  readonly blocks: Map<number, readonly Span[]>;
}

const DAY_MS = 86_400_000;
const BLOCK_MS = 32 * DAY_MS;
/**
 * Since 1970, where cron begins, no zone has changed its offset twice within less than a week (all of them were searched), so
 * two questions four days apart cannot miss a pair of changes that cancel each other out. BLOCK_MS is a multiple of it.
 */
const STRIDE_MS = 4 * DAY_MS;
/** 44 years of one zone. */
const BLOCKS_MAX = 512;
const ZONES_MAX = 256;
/** No zone is or was further from UTC, local mean times included. */
const OFFSET_MAX_MS = 16 * 3_600_000;

const ALWAYS_UTC: Span = { from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY, offset: 0 };

const zones = new Map<string, ZoneMemo>();

function memoOf(timezone: string): ZoneMemo {
  const known = zones.get(timezone);
  if (known !== undefined) return known;
  const format = new Intl.DateTimeFormat('en-US', { timeZone: timezone, timeZoneName: 'longOffset' });
  const isUtc = format.resolvedOptions().timeZone === 'UTC';
  const memo = { format, constant: isUtc ? ALWAYS_UTC : undefined, blocks: new Map<number, readonly Span[]>() };
  dropOldest(zones, ZONES_MAX);
  zones.set(timezone, memo);
  return memo;
}

function dropOldest<Key>(map: Map<Key, unknown>, max: number): void {
  if (map.size < max) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}

/** `…, GMT`, `…, GMT+05:45` or, before the zones were rounded, `…, GMT-00:44:30`. */
function askOffset(format: Intl.DateTimeFormat, at: number): number {
  const text = format.format(at);
  const [, sign, hours, minutes, seconds] = /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(text) ?? [];
  if (sign === undefined) return 0;
  const magnitude = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds ?? 0);
  return (sign === '-' ? -magnitude : magnitude) * 1000;
}

function blockOf(memo: ZoneMemo, index: number): readonly Span[] {
  const known = memo.blocks.get(index);
  if (known !== undefined) return known;
  const spans = computeBlock(memo.format, index * BLOCK_MS);
  dropOldest(memo.blocks, BLOCKS_MAX);
  memo.blocks.set(index, spans);
  return spans;
}

function computeBlock(format: Intl.DateTimeFormat, start: number): readonly Span[] {
  const spans: Span[] = [];
  let from = start;
  let offset = askOffset(format, start);
  for (let at = start; at < start + BLOCK_MS; at += STRIDE_MS) {
    const nextOffset = askOffset(format, at + STRIDE_MS);
    let low = at;
    while (offset !== nextOffset) {
      const change = firstOther(format, offset, low, at + STRIDE_MS);
      if (change >= start + BLOCK_MS) break;
      spans.push({ from, to: change, offset });
      from = change;
      low = change;
      offset = askOffset(format, change);
    }
  }
  spans.push({ from, to: start + BLOCK_MS, offset });
  return spans;
}

/** The first second after `low`, where `offset` is in force, up to `high` with another offset. */
function firstOther(format: Intl.DateTimeFormat, offset: number, low: number, high: number): number {
  let [same, other] = [low, high];
  while (other - same > 1000) {
    const middle = same + Math.floor((other - same) / 2000) * 1000;
    if (askOffset(format, middle) === offset) same = middle;
    else other = middle;
  }
  return other;
}

function spanAt(memo: ZoneMemo, at: number): Span {
  if (memo.constant !== undefined) return memo.constant;
  const spans = blockOf(memo, Math.floor(at / BLOCK_MS));
  for (const span of spans) if (at < span.to) return span;
  throw new RangeError(`no offset for the instant ${at}`);
}

/**
 * Milliseconds that the zone's clocks are ahead of UTC at the instant.
 * @throws RangeError if the zone is unknown
 */
export const offsetAt = (timezone: string, at: number): number => spanAt(memoOf(timezone), at).offset;

/** The changes of offset after `from`, up to and including `to`, found as they are asked for. */
export function* offsetChanges(timezone: string, from: number, to: number): Generator<OffsetChange, void, undefined> {
  const memo = memoOf(timezone);
  let before = spanAt(memo, from);
  while (before.to <= to) {
    const after = spanAt(memo, before.to);
    if (after.offset !== before.offset) yield { at: after.from, before: before.offset, after: after.offset };
    before = after;
  }
}

/** The *first* instant at which the zone's clocks show this local time. */
export function firstInstant(timezone: string, wall: number): WallInstant {
  const memo = memoOf(timezone);
  const span = spanAt(memo, wall - OFFSET_MAX_MS);
  if (wall + OFFSET_MAX_MS < span.to) return { kind: 'instant', at: wall - span.offset };
  let offset = span.offset;
  for (const change of offsetChanges(timezone, wall - OFFSET_MAX_MS, wall + OFFSET_MAX_MS)) {
    if (wall - offset < change.at) return { kind: 'instant', at: wall - offset };
    // The old offset has ended before this local time came, the new one begins after it: the clock jumped over it.
    if (wall - change.after < change.at) return { kind: 'gap', resumesAt: change.at + change.after };
    offset = change.after;
  }
  return { kind: 'instant', at: wall - offset };
}

/** Whether the zone's clocks show this local time twice, because they are put back. */
export function isRepeated(timezone: string, wall: number): boolean {
  for (const change of offsetChanges(timezone, wall - OFFSET_MAX_MS, wall + OFFSET_MAX_MS))
    if (wall >= change.at + change.after && wall < change.at + change.before) return true;
  return false;
}

/**
 * Where the clock was put back after the instant `first` and not after `at`: the local time until which everything has been
 * shown before. Undefined if it was not.
 */
export function shownUntil(timezone: string, first: number, at: number): number | undefined {
  let until: number | undefined;
  for (const change of offsetChanges(timezone, first, at))
    until = Math.max(until ?? Number.NEGATIVE_INFINITY, change.at + change.before);
  return until;
}

/** The local time with its offset and zone (RFC 9557), such as 2027-03-28T03:30:00+02:00[Europe/Berlin]. */
export function localText(at: number, timezone: string): string {
  const offset = offsetAt(timezone, at);
  return `${wallText(at + offset)}${offsetText(offset)}[${timezone}]`;
}

/** A local time as yyyy-mm-ddThh:mm:ss; the first hours of the year 10000, where a zone is ahead, as ISO 8601 expands years. */
export const wallText = (wall: number): string => new Date(wall).toISOString().slice(0, -5);

/** To the minute, as RFC 9557 has it: only local mean times, gone since 1972, had seconds. */
function offsetText(offset: number): string {
  const minutes = Math.round(Math.abs(offset) / MINUTE_MS);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${offset < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}
