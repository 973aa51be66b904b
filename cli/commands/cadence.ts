/** The cadence of a schedule, from its options. */
import type { CadenceBody } from '../../core/contract/schedules.ts';
import type { Operations } from '../client.ts';
import { UsageError } from '../errors.ts';

/** As it is sent. */
type Cadence = Operations['createSchedule']['body']['cadence'];

export interface CadenceOptions {
  readonly cron?: string;
  readonly timezone?: string;
  readonly every?: string;
  readonly startAt?: string;
  readonly at?: string;
}

export const CADENCE_REMEDY = 'Give one of: --cron EXPR --timezone TZ, --every DURATION [--start-at TIME], --at TIME.';

/**
 * The cadence that the options describe, or `undefined` where they touch none.
 * @param present what stands: where its kind stays, so does what the options leave out
 * @throws UsageError where the options do not fit together
 */
export function cadenceOf(options: CadenceOptions, present?: CadenceBody): Cadence | undefined {
  const { cron, timezone, every, startAt, at } = options;
  const kinds = Object.entries({ cron, every, at }).filter(([, value]) => value !== undefined);
  if (kinds.length > 1)
    throw new UsageError(`A schedule has one cadence: ${kinds.map(([name]) => `--${name}`).join(' and ')} are two.`, {
      remedy: CADENCE_REMEDY,
    });
  if (kinds.length === 0 && timezone === undefined && startAt === undefined) return undefined;
  const kind = kinds[0]?.[0] ?? kindOf(present);
  if (startAt !== undefined && kind !== 'every')
    throw new UsageError('--start-at goes with --every only.', { remedy: CADENCE_REMEDY });
  if (timezone !== undefined && kind === 'every')
    throw new UsageError('--timezone does not go with --every: an interval has no time zone.', {
      remedy: CADENCE_REMEDY,
    });
  if (kind === 'every') return everyCadence(every, startAt, present);
  if (kind === 'cron') return cronCadence(cron, timezone, present);
  if (kind === 'at') return atCadence(at, timezone, present);
  throw new UsageError('--timezone alone is no cadence.', { remedy: CADENCE_REMEDY });
}

function kindOf(present: CadenceBody | undefined): 'cron' | 'every' | 'at' | undefined {
  if (present === undefined) return undefined;
  return 'cron' in present ? 'cron' : 'every' in present ? 'every' : 'at';
}

function everyCadence(
  every: string | undefined,
  startAt: string | undefined,
  present: CadenceBody | undefined,
): Cadence {
  const standing = present !== undefined && 'every' in present ? present.every : undefined;
  return { every: every ?? standing ?? '', ...(startAt !== undefined && { startAt }) };
}

function cronCadence(
  cron: string | undefined,
  timezone: string | undefined,
  present: CadenceBody | undefined,
): Cadence {
  const standing = present !== undefined && 'cron' in present ? present : undefined;
  const zone = timezone ?? standing?.timezone;
  // A guess would be right on the machine of whoever types and wrong for everybody else.
  if (zone === undefined)
    throw new UsageError('--cron needs --timezone.', { remedy: 'Name one, such as --timezone Europe/Berlin or UTC.' });
  return { cron: cron ?? standing?.cron ?? '', timezone: zone };
}

function atCadence(at: string | undefined, timezone: string | undefined, present: CadenceBody | undefined): Cadence {
  const standing = present !== undefined && 'at' in present ? present : undefined;
  const zone = timezone ?? standing?.timezone;
  return { at: at ?? standing?.at ?? '', ...(zone !== undefined && { timezone: zone }) };
}
