/** What stops `candor dev` from starting: something on this machine that the person at the terminal can change. */
export class LocalSetupError extends Error {
  /** What to do about it, as an imperative sentence. */
  readonly remedy: string;

  constructor(detail: string, remedy: string, cause?: unknown) {
    super(detail, cause === undefined ? undefined : { cause });
    this.name = 'LocalSetupError';
    this.remedy = remedy;
  }
}
