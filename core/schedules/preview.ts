/** What a cadence would do, before there is a schedule: its times, what the real clock would be told, what may surprise. */
import type * as z from 'zod';
import { toAwsExpression } from '../cadence/aws.ts';
import { occurrences } from '../cadence/occurrences.ts';
import { describeWarnings } from '../cadence/warnings.ts';
import { localText } from '../cadence/zone.ts';
import { isoSecond, isoTime } from '../contract/common.ts';
import type { PreviewBody, PreviewRequest } from '../contract/schedules.ts';
import type { Ports } from '../ports.ts';
import { cadenceOf, frequencyWarning } from './cadenceRequest.ts';
import type { Cadence, Window } from './model.ts';

/** Both changes of a year's clocks lie within it, however few occurrences are asked for. */
const WARNING_DAYS = 366;
/** Rules of zones change by law: what is known of a change of the clocks further on is a guess, and costs a search. */
const WARNING_DAYS_MAX = 3653;
const DAY_MS = 86_400_000;
/** Cron knows no year before 1970; without the bound a `from` in antiquity would search centuries for clock changes. */
const WARNINGS_FROM_MS = 0;

/** What cannot be kept for its form is refused as at a creation; what never fires, or AWS cannot say, is answered as that. */
export function previewCadence(
  ports: Pick<Ports, 'time' | 'config'>,
  request: z.output<typeof PreviewRequest>,
): PreviewBody {
  const now = ports.time.now();
  // A single time that has passed is no mistake of form: it is answered as what it is, a cadence that never fires.
  const asOf = 'at' in request.cadence ? Math.min(now, request.cadence.at - 1) : now;
  const cadence = cadenceOf(request.cadence, asOf);
  const window = (request.window ?? {}) as Window;
  const from = Math.max(request.from ?? now, window.startAt ?? Number.NEGATIVE_INFINITY);
  const until = window.endAt === undefined ? Number.POSITIVE_INFINITY : window.endAt - 1;
  const times = occurrences(cadence, from - 1, request.count, until);
  const zone = zoneOf(cadence);
  const expression = toAwsExpression(cadence);
  return {
    occurrences: times.map((at) => ({ utc: isoSecond(at), local: localText(at, zone) })),
    ...(expression.ok
      ? { awsExpression: { expression: expression.expression, timezone: expression.timezone } }
      : { awsProblem: { problem: expression.problem, remedy: expression.remedy } }),
    warnings: [
      ...warningsOf(cadence, { from, until, last: times.at(-1) }, window),
      ...frequencyWarning(cadence, ports.config.confirmFiresPerDay),
    ],
    asOf: isoTime(now),
  };
}

interface Shown {
  readonly from: number;
  readonly until: number;
  readonly last: number | undefined;
}

function warningsOf(cadence: Cadence, { from, until, last }: Shown, window: Window): readonly string[] {
  const shown = Math.min(last ?? from, from + WARNING_DAYS_MAX * DAY_MS);
  const to = Math.min(until, Math.max(from + WARNING_DAYS * DAY_MS, shown));
  const warnings = describeWarnings(cadence, Math.max(from, WARNINGS_FROM_MS), to);
  const isEmptied = last === undefined && window.endAt !== undefined;
  // A cadence that goes on for ever never fires in a window that leaves it no time.
  if (isEmptied && !warnings.some(({ kind }) => kind === 'never_fires'))
    return [`never fires: its window ends at ${isoSecond(window.endAt)}, before the first occurrence`];
  return warnings.map(({ message }) => message);
}

function zoneOf(cadence: Cadence): string {
  return cadence.kind === 'every' ? 'UTC' : (cadence.timezone ?? 'UTC');
}
