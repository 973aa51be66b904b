/** Seeds that once broke an invariant. A seed is the same world only as long as nothing that draws from it has changed. */
export interface Regression {
  readonly seed: number;
  readonly invariant: string;
  readonly what: string;
}

export const REGRESSIONS: readonly Regression[] = [];
