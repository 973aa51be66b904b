/** What the crash campaign and the processes under test tell each other, through files in the crash folder. */
import type { Role } from './processes.ts';

/** The programs that are crashed from within; the agent and the engine are only ever killed from outside. */
export type Program = 'control' | 'runner' | 'shim';

/**
 * `during`: the side effect has been asked for, and its answer is still out. `torn`: half of the bytes have been written.
 */
export const PHASES = ['before', 'torn', 'during', 'after'] as const;
export type Phase = (typeof PHASES)[number];

/** One order to die. The first process of the program that reaches the point for the `skip`+1st time carries it out. */
export interface Order {
  readonly id: string;
  readonly program: Program;
  readonly point: string;
  readonly phase: Phase;
  readonly skip: number;
  /** Those who are killed with it: of the same run or VM where there is a choice. */
  readonly also: readonly Role[];
}

export interface PlanFile {
  readonly dataDir: string;
  readonly orders: readonly Order[];
}

export interface Victim {
  readonly role: Role;
  readonly pid: number;
  readonly vmId?: string;
  readonly runId?: string;
  readonly attempt?: number;
}

/** Left by a process that carries out its order, just before it does. */
export interface KillFile {
  readonly order: Order;
  readonly victims: readonly Victim[];
}

export const PLAN_FILE = 'plan.json';
export const KILLS_FOLDER = 'kills';
/** One file per process: a line for each failpoint that it reached. */
export const HITS_FOLDER = 'hits';

/** One reached failpoint: its name, the source line that it stands for, the phases in which one can die there. */
export interface Hit {
  readonly program: Program;
  readonly point: string;
  readonly where: string;
  readonly phases: readonly Phase[];
  /** Guards of the core that stood in the transaction. */
  readonly guards: readonly string[];
}

export const hitLine = ({ program, point, where, phases, guards }: Hit): string =>
  `${[program, point, where, phases.join(','), guards.join(',')].join('\t')}\n`;

export function parseHit(line: string): Hit {
  const [program = '', point = '', where = '', phases = '', guards = ''] = line.split('\t');
  const list = (text: string) => (text === '' ? [] : text.split(','));
  return { program: program as Program, point, where, phases: list(phases) as Phase[], guards: list(guards) };
}
