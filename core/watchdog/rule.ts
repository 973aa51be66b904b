/** The shape of all watchdog rules: a finding on one row, the evidence that was fetched for it, and what was done. */
import type { Ports } from '../ports.ts';

export interface RuleContext {
  readonly ports: Ports;
  readonly now: number;
  /** After a gap of the watchdog's own, until one lease has passed: nothing that looks silent may be judged yet (I9). */
  readonly holding: boolean;
}

export interface Action {
  /** A stable word for the recovery: a metric's dimension and an event's type. */
  readonly rule: string;
  readonly subject: string;
  readonly did: string;
}

/** Looks at one row that is due for a check; answers what it did, or undefined where all is well and the check was moved. */
export type Rule<Row> = (context: RuleContext, row: Row) => Promise<Action | undefined>;
