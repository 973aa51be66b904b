/**
 * The shape of every rule of the watchdog: finding → evidence → decision → action.
 *
 *  - the **finding** is a row that is due for a look, of the kind that the rule is for;
 *  - the **evidence** is what the rule asks the table, the workflow, the fleet or the clock about it;
 *  - the **decision** is pure: the row, the evidence and `now` say what is to be done, and why;
 *  - the **action** goes through the owner's door, conditional on what was judged. It answers what it put right.
 */
import type { CoreConfig } from '../config.ts';
import type { Ports } from '../ports.ts';
import type { Key } from '../table/model.ts';
import type { Heard } from '../vms/heard.ts';
import { moveCheck } from './checks.ts';
import type { Recovery } from './recoveries.ts';

/** All that a decision knows besides the row and its evidence. */
export interface View {
  readonly now: number;
  readonly config: CoreConfig;
  /** After a gap of the watchdog's own: until then nothing that looks silent or late may be judged (I9). */
  readonly holdUntil: number;
  /** When any VM was last heard; undefined where none ever was. */
  readonly heard: Heard | undefined;
}

export interface RuleContext extends View {
  readonly ports: Ports;
  /** What was looked at once in this tick for all rows that depend on it: limits by id. */
  readonly seen: Set<string>;
}

// fence: looks.afterGap
export const isHolding = ({ now, holdUntil }: View): boolean => now < holdUntil;

/** What was put right. */
export interface Action {
  /** A stable word for the recovery: a metric's dimension and an event's type. */
  readonly rule: Recovery;
  readonly subject: string;
  readonly did: string;
  /** What was seen, and led to it. */
  readonly because: string;
}

/** The decisions that every rule has. */
export type Common =
  | { readonly do: 'look_again'; readonly at: number }
  /** Something is due, and may not be judged yet. */
  | { readonly do: 'hold' }
  | { readonly do: 'nothing' };

export interface Checked extends Key {
  readonly id: string;
  readonly version: number;
}

interface RuleSpec<Row extends Checked, Evidence, Own extends { readonly do: string }> {
  readonly evidence: (context: RuleContext, row: Row) => Promise<Evidence>;
  readonly decide: (row: Row, evidence: Evidence, view: View) => Common | Own;
  readonly act: (context: RuleContext, row: Row, decision: Own) => Promise<readonly Action[]>;
}

/** Looks at one row; answers what was put right. A rule that throws has changed nothing that it cannot do again. */
export type Look<Row> = (context: RuleContext, row: Row) => Promise<readonly Action[]>;

const isCommon = (decision: { readonly do: string }): decision is Common =>
  decision.do === 'look_again' || decision.do === 'hold' || decision.do === 'nothing';

export function rule<Row extends Checked, Evidence, Own extends { readonly do: string }>(
  spec: RuleSpec<Row, Evidence, Own>,
): Look<Row> & { readonly decide: RuleSpec<Row, Evidence, Own>['decide'] } {
  const look: Look<Row> = async (context, row) => {
    const evidence = await spec.evidence(context, row);
    const decision = spec.decide(row, evidence, context);
    if (!isCommon(decision)) return spec.act(context, row, decision as Own);
    if (decision.do === 'look_again') await moveCheck(context.ports, row, decision.at);
    if (decision.do === 'hold') await moveCheck(context.ports, row, context.holdUntil);
    return [];
  };
  return Object.assign(look, { decide: spec.decide });
}

/** For rules that need nothing but the row. */
export const noEvidence = async (): Promise<undefined> => undefined;

/** The longer something has lasted, the less often it is looked at: half its age, within these bounds. */
export const backoff = (now: number, since: number, leastMs: number, mostMs: number): number =>
  now + Math.min(Math.max((now - since) / 2, leastMs), mostMs);

/** Pure: a look by the deadline of a row, as long as that is to come. Epoch milliseconds. */
export const byDeadline = (
  { deadlineAt = 0 }: { readonly deadlineAt?: number | undefined },
  at: number,
  now: number,
): number => (now < deadlineAt ? Math.min(at, deadlineAt) : at);
