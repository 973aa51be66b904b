/** What the state machine's states throw besides launch errors. Its `Retry` and `Catch` name these classes. */

/** The run has ended, is at another attempt, or a VM holds its marker: the execution has nothing left to do and ends quietly. */
export class RunMovedOn extends Error {
  constructor(detail: string) {
    super(detail);
    this.name = 'RunMovedOn';
  }
}

/** No VM could be had before the run's start deadline: ends the launch retries. The message lists what was tried. */
export class StartDeadlineExceeded extends Error {
  constructor(detail: string) {
    super(detail);
    this.name = 'StartDeadlineExceeded';
  }
}

/** The VM that was launched cannot take the run (it drains, or has gone). */
export class VmUnfit extends Error {
  constructor(detail: string) {
    super(detail);
    this.name = 'VmUnfit';
  }
}
