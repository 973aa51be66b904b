/** When a delivery is tried again, and when that ends. Pure. */

const MINUTE = 60;
const HOUR = 60 * MINUTE;
/** Before the second try, the third, …: a day and half an hour in all. */
export const RETRY_AFTER_SECONDS = [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 8 * HOUR, 9 * HOUR] as const;
export const ATTEMPTS_MAX = RETRY_AFTER_SECONDS.length + 1;

/** An endpoint may ask for more time than that, within reason. */
const RETRY_AFTER_MAX_SECONDS = HOUR;
/** A tenth more at most, so that what failed together does not come back together. */
const SPREAD = 0.1;

/**
 * @param failed how many tries have failed, at least 1
 * @param spread from 0 to 1, the same for the same delivery
 * @returns epoch milliseconds, or undefined where it is given up
 */
export function nextTry(
  now: number,
  failed: number,
  { askedSeconds = 0, spread }: { readonly askedSeconds?: number | undefined; readonly spread: number },
): number | undefined {
  const seconds = RETRY_AFTER_SECONDS[failed - 1];
  if (seconds === undefined) return undefined;
  const asked = Math.min(askedSeconds, RETRY_AFTER_MAX_SECONDS);
  return now + Math.round(Math.max(seconds * (1 + SPREAD * spread), asked) * 1000);
}

/** One failure or two say something of a delivery, and little of its endpoint. */
const HOLD_FROM = 3;
const HOLD_MAX_SECONDS = 5 * MINUTE;

/** For how long nothing more is tried at an endpoint that has failed so many times in a row; 0: it is not held. */
export const holdMs = (failures: number): number =>
  failures < HOLD_FROM ? 0 : Math.min(HOLD_MAX_SECONDS, 5 * 2 ** Math.min(failures - HOLD_FROM, 10)) * 1000;
