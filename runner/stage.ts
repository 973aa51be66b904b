/**
 * A stage is what the shim does before a run's process is started: its setup, its repository. Its commands carry the
 * run's mark, so that they can be found and ended like the work itself, and their output goes to the run's log.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Capture } from './capture.ts';
import { type Ending, execute } from './command.ts';
import { Mask, masked } from './mask.ts';
import { type Mark, markedProcesses, monotonicMs, sendSignal } from './proc.ts';
import { handOver, type RunAs } from './runAs.ts';

const LOOK_AGAIN_MS = 20;
/** In the middle of an exec a process shows no environment for a moment: one look without a find proves nothing. */
const CLEAN_LOOKS = 2;
/** What has not died of SIGKILL by then hangs in the kernel; the runner goes on with it. */
const KILL_PATIENCE_MS = 10_000;
const STDERR_LINES = 5;
const STDERR_CHARACTERS_MAX = 500;
const COMMAND_CHARACTERS_MAX = 200;

/** The stage has failed: its message says why, in words for the operator and with nothing in it that is to be masked. */
export class Unprepared extends Error {
  override readonly name = 'Unprepared';
}

export interface StageOptions {
  /** The run's folder. */
  readonly folder: string;
  readonly mark: Mark;
  readonly capture: Capture;
  readonly mask: readonly string[];
  readonly runAs?: RunAs | undefined;
}

export interface Surroundings {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

export class Stage {
  readonly #options: StageOptions;
  #stopped: string | undefined;

  constructor(options: StageOptions) {
    this.#options = options;
  }

  /** Nothing more is started. What runs is ended by whoever calls this. */
  stop(why: string): void {
    this.#stopped ??= why;
  }

  /** @throws Unprepared if the stage is to go no further */
  check(): void {
    if (this.#stopped !== undefined) throw new Unprepared(`It was given up: ${this.#stopped}.`);
  }

  /** Gives files to the user that its commands run as. */
  handOver(own: readonly string[], through: readonly string[] = []): void {
    handOver(this.#options.runAs, { own, through });
  }

  /** Says something in the run's log. */
  say(text: string): void {
    this.#options.capture.say(text);
  }

  /** @throws Unprepared if the stage is to go no further */
  async sleep(ms: number): Promise<void> {
    this.check();
    await sleep(ms);
    this.check();
  }

  /** Does a piece of work within a time, and leaves none of its processes behind. */
  async within(timeoutMs: number, work: () => Promise<void>): Promise<void> {
    const timer = setTimeout(() => {
      this.stop(`it took longer than ${timeoutMs / 1000} seconds`);
      void this.#endAll();
    }, timeoutMs);
    try {
      await work();
    } finally {
      clearTimeout(timer);
      await this.#endAll();
    }
    this.check();
  }

  /** Runs a command to its end. @throws Unprepared unless it ends with exit code 0 */
  async command(argv: readonly string[], surroundings: Surroundings): Promise<void> {
    this.check();
    const { capture, folder, mask, runAs } = this.#options;
    const tail = new Tail(mask);
    const { ended } = execute({ argv, ...surroundings, input: 'ignore', runAs }, folder, (stream, data) => {
      capture.take(stream, data);
      if (stream === 'stderr') tail.take(data);
    });
    const ending = await ended;
    capture.flush();
    if (this.#stopped === undefined && ending.exitCode === 0) return;
    const said = tail.end();
    const why = this.#stopped === undefined ? '' : `, given up as ${this.#stopped}`;
    throw new Unprepared(
      `${this.#shown(argv)} ${masked(howItEnded(ending), this.#options.mask)}${why}${said === '' ? '.' : `: ${said}`}`,
    );
  }

  #shown(argv: readonly string[]): string {
    // Masked before it is quoted: quotes would change a value, and it would not be found any more.
    const words = argv.map((word) => masked(word, this.#options.mask));
    const quoted = words.map((word) => (/^[\w@%+=:,./*-]+$/.test(word) ? word : JSON.stringify(word)));
    return clipped(quoted.join(' '), COMMAND_CHARACTERS_MAX);
  }

  /** Ends every process that carries the run's mark, but this one. */
  async #endAll(): Promise<void> {
    const untilMs = monotonicMs() + KILL_PATIENCE_MS;
    for (let cleanLooks = 0; cleanLooks < CLEAN_LOOKS && monotonicMs() < untilMs; ) {
      const left = markedProcesses(this.#options.mark);
      cleanLooks = left.length === 0 ? cleanLooks + 1 : 0;
      for (const { pid } of left) sendSignal(pid, 'SIGKILL');
      await sleep(LOOK_AGAIN_MS);
    }
  }
}

function howItEnded({ exitCode, signal, spawnError }: Ending): string {
  if (spawnError !== undefined) return `could not be started: ${spawnError}`;
  return signal === undefined ? `ended with exit code ${exitCode}` : `was ended by ${signal}`;
}

/** The last lines of a stream, masked. */
class Tail {
  readonly #mask: Mask;
  #text = '';

  constructor(mask: readonly string[]) {
    this.#mask = new Mask(mask);
  }

  take(data: Buffer): void {
    this.#add(this.#mask.take(data));
  }

  end(): string {
    this.#add(this.#mask.end());
    const lines = this.#text.split(/[\r\n]+/).filter((line) => line.trim() !== '');
    return lines.slice(-STDERR_LINES).join(' / ').slice(-STDERR_CHARACTERS_MAX).toWellFormed();
  }

  #add(data: Buffer): void {
    this.#text = (this.#text + data.toString('utf8')).slice(-2 * STDERR_CHARACTERS_MAX);
  }
}

const clipped = (text: string, charactersMax: number): string =>
  text.length <= charactersMax ? text : `${text.slice(0, charactersMax - 1).toWellFormed()}…`;
