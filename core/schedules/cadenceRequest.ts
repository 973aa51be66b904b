/** A cadence as it was sent becomes one that can be kept: what is impossible is refused with the field and the remedy. */

import { toAwsExpression } from '../cadence/aws.ts';
import { nextOccurrence } from '../cadence/occurrences.ts';
import { parseCron } from '../cadence/parse.ts';
import { timesPerDay } from '../cadence/warnings.ts';
import { isoSecond } from '../contract/common.ts';
import type { CadenceRequest } from '../contract/schedules.ts';
import { type FieldError, InvalidRequest } from '../errors.ts';
import type { Cadence, Window } from './model.ts';

/** @throws InvalidRequest naming the field */
export function acceptCadence(
  request: CadenceRequest,
  window: Window | undefined,
  now: number,
  present?: Cadence,
): Cadence {
  const cadence = cadenceOf(request, now, present);
  refuseInexpressible(cadence);
  refuseWithoutOccurrence(cadence, window, now);
  return cadence;
}

/**
 * A mistake in a cron expression that runs an agent each minute is found on the bill: so it is asked for once more.
 * @throws InvalidRequest
 */
export function refuseUnconfirmed(cadence: Cadence, limit: number, confirmed: boolean): void {
  const count = timesPerDay(cadence);
  if (confirmed || count <= limit) return;
  throw new InvalidRequest(
    'The cadence fires very often.',
    [
      {
        pointer: `/cadence/${cadence.kind}`,
        message: `must be confirmed: it fires ${count} times a day, and ${limit} is the limit without`,
      },
    ],
    'Send "confirmFrequency": true beside it if that is meant; choose a cadence that fires less often if not.',
  );
}

/** To whoever looks at a cadence before it is kept. */
export const frequencyWarning = (cadence: Cadence, limit: number): readonly string[] =>
  timesPerDay(cadence) > limit
    ? [`is taken only with confirmFrequency: ${limit} times a day is the limit without`]
    : [];

/** What the real clock cannot be told is refused here too, so that a schedule means the same everywhere. @throws InvalidRequest */
function refuseInexpressible(cadence: Cadence): void {
  const expression = toAwsExpression(cadence);
  if (expression.ok) return;
  throw new InvalidRequest(
    'EventBridge Scheduler cannot express this cadence.',
    [{ pointer: `/cadence/${cadence.kind}`, message: expression.problem }],
    expression.remedy,
  );
}

/** Whether anything is to come after now, inside the window. */
export function hasFuture(cadence: Cadence, window: Window | undefined, now: number): boolean {
  const next = nextOccurrence(cadence, Math.max(now, (window?.startAt ?? 0) - 1));
  return next !== undefined && (window?.endAt === undefined || next < window.endAt);
}

/** A cadence that leaves nothing to come in its window would stand as `active` for ever. @throws InvalidRequest */
export function refuseWithoutOccurrence(cadence: Cadence, window: Window | undefined, now: number): void {
  const next = nextOccurrence(cadence, Math.max(now, (window?.startAt ?? 0) - 1));
  if (next === undefined) throw invalid(neverProblem(cadence));
  if (window?.endAt !== undefined && next >= window.endAt)
    throw invalid({
      pointer: '/window/endAt',
      message: `leaves no occurrence: the next one would be at ${isoSecond(next)}`,
    });
}

/** What was asked for, by its form alone; an edit of an interval that names no start keeps the present phase. @throws InvalidRequest */
export function cadenceOf(request: CadenceRequest, now: number, present?: Cadence): Cadence {
  if ('at' in request) {
    if (request.at <= now)
      throw invalid({
        pointer: '/cadence/at',
        message: `must be in the future: it is ${isoSecond(request.at)}, now is ${isoSecond(Math.floor(now / 1000) * 1000)}`,
      });
    return { kind: 'at', at: request.at, ...(request.timezone !== undefined && { timezone: request.timezone }) };
  }
  if ('every' in request) {
    // Without a start it begins one interval from now, as a person who says "every 15 minutes" would expect.
    const anchor = present?.kind === 'every' ? present.startAt : Math.floor(now / 1000) * 1000 + request.every * 1000;
    const startAt = request.startAt ?? anchor;
    return { kind: 'every', everySeconds: request.every, startAt };
  }
  const parsed = parseCron(request.cron);
  if (!parsed.ok) throw invalid({ pointer: '/cadence/cron', message: parsed.problem });
  return { kind: 'cron', cron: parsed.cron.text, timezone: request.timezone };
}

const neverProblem = (cadence: Cadence): FieldError => ({
  pointer: `/cadence/${cadence.kind}`,
  message: cadence.kind === 'at' ? 'lies in the past: it fires no more' : 'never fires: no such date exists',
});

const invalid = (error: FieldError) => new InvalidRequest('The cadence cannot be kept.', [error]);

/** By value, whatever the order of the fields: a store gives them back in its own. */
export function sameFields(left: unknown, right: unknown): boolean {
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return left === right;
  const [a, b] = [Object.entries(left), new Map(Object.entries(right))];
  return a.length === b.size && a.every(([name, value]) => b.has(name) && sameFields(value, b.get(name)));
}
