/** Keeps one VM's runner alive, as systemd would: started again when it dies, unless it was told to stop. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Log } from '../../core/ports.ts';
import { identify, isAlive, type ProcessIdentity } from './procfs.ts';

const BACKOFF_MIN_MS = 50;
const BACKOFF_MAX_MS = 5000;
/** A runner that has lived this long has started well: its next death is a new story. */
const GOOD_LIFE_MS = 10_000;
/** How often an adopted runner is looked at; the death of our own child is told to us. */
const POLL_MS = 250;
const RUNNER_LOG_BYTES_MAX = 5 * 1024 * 1024;

export interface SupervisorOptions {
  readonly vmId: string;
  readonly folder: string;
  /** The whole command, arguments included. */
  readonly command: readonly string[];
  /** The whole environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly log: Log;
  /** Whether the runner was told to stop, so that its death is no accident. */
  readonly mayRest: () => boolean;
  /** Keeps which process the runner is. */
  readonly save: (runner: ProcessIdentity) => Promise<void>;
  /** Called once, when the runner is dead and may rest. */
  readonly onRest: () => void;
}

export class RunnerSupervisor {
  readonly #options: SupervisorOptions;
  #backoffMs = BACKOFF_MIN_MS;
  #startedAtMs = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #saving: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /**
   * Starts the runner.
   * @throws the operating system's error when it cannot be started at all
   */
  async start(): Promise<void> {
    const child = this.#spawn();
    this.#startedAtMs = performance.now();
    // Listened for at once: a child that ends at once would otherwise be missed.
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    ended.then(() => this.#died());
    const runner = child.pid === undefined ? undefined : identify(child.pid);
    if (runner !== undefined) this.#keep(runner);
    await this.#saving;
  }

  /** Watches a runner that an earlier supervisor has started. */
  async adopt(runner: ProcessIdentity): Promise<void> {
    this.#keep(runner);
    this.#timer = setInterval(() => {
      if (isAlive(runner)) return;
      clearInterval(this.#timer);
      this.#died();
    }, POLL_MS);
    this.#timer.unref();
    await this.#saving;
  }

  /** From here on no runner is started any more. The one that lives is left alone. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#saving;
  }

  #spawn(): ChildProcess {
    const { command, environment, folder } = this.#options;
    const [program, ...args] = command;
    if (program === undefined) throw new TypeError('the runner command is empty');
    const output = openLog(path.join(folder, 'runner.log'));
    try {
      // A session of its own: what ends candor dev (Ctrl-C in its terminal, kill -9) does not end the work.
      const child = spawn(program, args, {
        cwd: folder,
        detached: true,
        env: { ...environment },
        stdio: ['ignore', output, output],
      });
      child.on('error', (error) => this.#options.log.warn('runner.error', { vmId: this.#options.vmId, error }));
      child.unref();
      return child;
    } finally {
      closeSync(output);
    }
  }

  #keep(runner: ProcessIdentity): void {
    this.#saving = this.#options.save(runner).catch((error: unknown) => {
      // Harmless: whoever adopts the runner also finds it by its mark and its arguments.
      this.#options.log.warn('runner.not_saved', { vmId: this.#options.vmId, error });
    });
  }

  #died(): void {
    if (this.#closed) return;
    const { vmId, log, mayRest, onRest } = this.#options;
    if (mayRest()) {
      this.#closed = true;
      onRest();
      return;
    }
    if (performance.now() - this.#startedAtMs >= GOOD_LIFE_MS) this.#backoffMs = BACKOFF_MIN_MS;
    log.warn('runner.died', { vmId, startsAgainInMs: this.#backoffMs });
    this.#timer = setTimeout(() => this.#startAgain(), this.#backoffMs);
    this.#timer.unref();
    this.#backoffMs = Math.min(this.#backoffMs * 2, BACKOFF_MAX_MS);
  }

  #startAgain(): void {
    if (this.#closed) return;
    this.start().catch((error: unknown) => {
      this.#options.log.error('runner.not_started', { vmId: this.#options.vmId, error });
      this.#died();
    });
  }
}

/** Opens the runner's log to append to it; one that has grown large makes room, so that a crash loop fills no disk. */
function openLog(file: string): number {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size > RUNNER_LOG_BYTES_MAX) renameSync(file, `${file}.1`);
  return openSync(file, 'a', 0o600);
}
