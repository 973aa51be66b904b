/** Seeds that once broke an invariant. A seed is the same world only as long as nothing that draws from it has changed. */
export interface Regression {
  readonly seed: number;
  readonly invariant: string;
  readonly what: string;
}

export const REGRESSIONS: readonly Regression[] = [
  { seed: 11, invariant: '§1.6', what: 'a run that waits for capacity was looked at after its start deadline' },
  { seed: 256, invariant: '§1.6', what: 'an early look at a cancel put off the look that sends it again' },
];
