import { CandorError } from '../../core/errors.ts';
import type { World } from '../support/world.ts';

/** One interleaving that a guard is needed for. */
export interface Race {
  /** Taken out together; the first one is the one that is proved, the others cover it. */
  readonly without: readonly [string, ...string[]];
  readonly when: string;
  /** The invariant that breaks. */
  readonly breaks: string;
  /** Plays the interleaving; answers whether the invariant held. */
  readonly held: (world: World) => Promise<boolean>;
}

/** The victim may be told that it lost: that is an answer, not a broken invariant. */
export async function tolerant<T>(
  promise: Promise<T>,
  isAnswer = (error: unknown): boolean => error instanceof CandorError,
): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (isAnswer(error)) return undefined;
    throw error;
  }
}
