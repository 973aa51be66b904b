/** What a person should know about a cadence before relying on it: shown by previews, never a refusal. */
import { isoSecond } from '../contract/common.ts';
import type { Cadence } from '../schedules/model.ts';
import { nextOccurrence } from './occurrences.ts';
import { type ParsedCron, parseCron } from './parse.ts';
import { MINUTE_MS, nextWall } from './wall.ts';
import { type OffsetChange, offsetChanges, wallText } from './zone.ts';

export type CadenceWarning =
  | { readonly kind: 'never_fires'; readonly message: string }
  /** A day field that restricts nothing, because the other one names all days and either suffices. */
  | { readonly kind: 'every_day'; readonly message: string }
  | { readonly kind: 'fires_often'; readonly perDay: number; readonly message: string }
  | {
      /** Local times that do not exist, or exist twice, and that the cadence names. */
      readonly kind: 'skipped_local_times' | 'repeated_local_times';
      /** The instant at which the clock changes. */
      readonly changeAt: number;
      /** yyyy-mm-dd, local. */
      readonly date: string;
      /** The first ones, as hh:mm. */
      readonly localTimes: readonly string[];
      readonly count: number;
      readonly message: string;
    };

/** Every five minutes: more is worth a second look, because each occurrence is a run of an agent. */
const OFTEN_PER_DAY = 288;
const LOCAL_TIMES_SHOWN = 5;
const CLOCK_WARNINGS_MAX = 20;
const DAY_SECONDS = 86_400;

/** In Unix cron the two day fields widen each other where both are restricted: many a writer means that both must match. */
function eitherDay(cadence: Cadence): readonly CadenceWarning[] {
  const [, , dayOfMonth = '*', , dayOfWeek = '*', year] = cadence.kind === 'cron' ? cadence.cron.split(' ') : [];
  if (year !== undefined || dayOfMonth.startsWith('*') || dayOfWeek.startsWith('*')) return [];
  const message = `fires every day: in Unix cron either day field suffices, and one of ${dayOfMonth} and ${dayOfWeek} names all days; write * in the one that you do not mean`;
  return [{ kind: 'every_day', message }];
}

/** The warnings about occurrences from `from` (inclusive) to `to`; at most 20 of them about clock changes. */
export function describeWarnings(cadence: Cadence, from: number, to: number): readonly CadenceWarning[] {
  const never = neverFires(cadence, from);
  if (never !== undefined) return [never];
  const often = firesOften(cadence);
  return [...(often === undefined ? [] : [often]), ...eitherDay(cadence), ...clockChanges(cadence, from, to)];
}

function neverFires(cadence: Cadence, from: number): CadenceWarning | undefined {
  if (nextOccurrence(cadence, from - 1) !== undefined) return undefined;
  if (cadence.kind === 'at' && cadence.at < from)
    return {
      kind: 'never_fires',
      message: `never fires: its only time, ${isoSecond(cadence.at)}, is before ${isoSecond(from)}`,
    };
  return { kind: 'never_fires', message: `never fires after ${isoSecond(from)}: ${neverReason(cadence)}` };
}

function neverReason(cadence: Cadence): string {
  const parsed = cadence.kind === 'cron' ? parseCron(cadence.cron) : undefined;
  if (parsed === undefined) return 'no time after the year 9999 can be kept';
  if (!parsed.ok) return `its cron expression ${parsed.problem}`;
  const lastYear = parsed.cron.years.at(-1) ?? 0;
  if (nextWall(parsed.cron, 0) === undefined) return 'no such date exists';
  return `the dates that it names are over, or the clock jumps over each of them (its last year is ${lastYear})`;
}

function firesOften(cadence: Cadence): CadenceWarning | undefined {
  const perDay = timesPerDay(cadence);
  return perDay < OFTEN_PER_DAY
    ? undefined
    : { kind: 'fires_often', perDay, message: `fires ${perDay.toLocaleString('en-US')} times a day` };
}

/** On a day on which it fires. */
export function timesPerDay(cadence: Cadence): number {
  if (cadence.kind === 'at') return 1;
  if (cadence.kind === 'every') return Math.floor(DAY_SECONDS / cadence.everySeconds);
  const parsed = parseCron(cadence.cron);
  return parsed.ok ? parsed.cron.minutes.length * parsed.cron.hours.length : 0;
}

function clockChanges(cadence: Cadence, from: number, to: number): readonly CadenceWarning[] {
  const parsed = cadence.kind === 'cron' ? parseCron(cadence.cron) : undefined;
  if (cadence.kind !== 'cron' || parsed === undefined || !parsed.ok) return [];
  const found: CadenceWarning[] = [];
  for (const change of offsetChanges(cadence.timezone, from - 1, to)) {
    const warning = clockChange(parsed.cron, cadence.timezone, change);
    if (warning !== undefined) found.push(warning);
    if (found.length === CLOCK_WARNINGS_MAX) break;
  }
  return found;
}

function clockChange(cron: ParsedCron, timezone: string, change: OffsetChange): CadenceWarning | undefined {
  const isGap = change.after > change.before;
  const [early, late] = [change.at + change.before, change.at + change.after].sort((left, right) => left - right);
  const walls = wallsBetween(cron, early ?? 0, late ?? 0);
  if (walls.length === 0) return undefined;
  const localTimes = walls.slice(0, LOCAL_TIMES_SHOWN).map((wall) => wallText(wall).slice(11, 16));
  const date = wallText(walls[0] ?? 0).slice(0, 10);
  const times = `${localTimes.join(', ')}${walls.length > LOCAL_TIMES_SHOWN ? ` and ${walls.length - LOCAL_TIMES_SHOWN} more` : ''}`;
  const subject = walls.length === 1 ? 'does' : 'do';
  return {
    kind: isGap ? 'skipped_local_times' : 'repeated_local_times',
    changeAt: change.at,
    date,
    localTimes,
    count: walls.length,
    message: isGap
      ? `${times} ${subject} not exist on ${date} in ${timezone}, where the clock is put forward: skipped`
      : `${times} ${walls.length === 1 ? 'comes' : 'come'} twice on ${date} in ${timezone}, where the clock is put back: fires only the first time (that it is the first is not documented by AWS)`,
  };
}

/** The named local times from `early` up to, not including, `late`. A clock never jumps by more than a day. */
function wallsBetween(cron: ParsedCron, early: number, late: number): readonly number[] {
  const walls: number[] = [];
  for (let wall = nextWall(cron, early); wall !== undefined && wall < late; wall = nextWall(cron, wall + MINUTE_MS))
    walls.push(wall);
  return walls;
}
