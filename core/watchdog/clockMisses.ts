/**
 * Whether the clock still fires: how many occurrences in a row it has left to the watchdog. A count of zero is no claim that
 * it lives, only that nothing says otherwise: so where there is nothing to fire it is quiet, and once it has risen only a fire
 * in time takes it back.
 */
export interface ClockMisses {
  readonly count: number;
  /** The latest occurrence that is counted, or the latest fire in time, whichever came last. */
  readonly through: number;
}

/**
 * Pure.
 * @param provenAt when an occurrence was last decided by what the clock delivered in time; undefined where none was seen
 * @param overdue occurrences that were met overdue now, one of each schedule
 */
export function clockMisses(
  before: ClockMisses,
  provenAt: number | undefined,
  overdue: readonly number[],
): ClockMisses {
  const base = provenAt !== undefined && provenAt > before.through ? { count: 0, through: provenAt } : before;
  // What is still overdue at the next look is the watchdog's trouble, and counted once.
  const missed = overdue.filter((at) => at > base.through);
  return { count: base.count + missed.length, through: Math.max(base.through, ...missed) };
}
