/**
 * How long a run's work has done nothing: no byte of output, and no CPU time in any process that carries its mark. The
 * clock is the monotonic one. Between two looks the benefit of the doubt is the work's: what has changed has changed now.
 */
import fs from 'node:fs';
import path from 'node:path';
import { cpuTicks, type Mark, markedProcesses, type ProcessId } from './proc.ts';
import { shimOf } from './work.ts';

/** The longer it has been idle the rarer the looks: a limit on idleness is minutes, and a look reads all of /proc. */
const LOOK_MS_MIN = 1000;
const LOOK_MS_MAX = 5000;

interface Reading extends ProcessId {
  readonly ticks: number;
}

export class Activity {
  readonly #folder: string;
  readonly #mark: Mark;
  #output: string | undefined;
  #processes: readonly Reading[] = [];
  #activeMs: number | undefined;
  #nextLookMs = Number.NEGATIVE_INFINITY;

  constructor(folder: string, mark: Mark) {
    this.#folder = folder;
    this.#mark = mark;
  }

  /** Undefined before the first look. */
  idleForMs(nowMs: number): number | undefined {
    return this.#activeMs === undefined ? undefined : Math.max(0, Math.round(nowMs - this.#activeMs));
  }

  /** Looks, if it is time to. The cheap signs come first; only where all of them are silent is everything read. */
  look(nowMs: number): void {
    if (nowMs < this.#nextLookMs) return;
    const active = this.#hasPutOut() || this.#knownHaveRun() || this.#anyHasRun();
    if (active || this.#activeMs === undefined) this.#activeMs = nowMs;
    this.#nextLookMs = nowMs + Math.min(Math.max((nowMs - this.#activeMs) / 4, LOOK_MS_MIN), LOOK_MS_MAX);
  }

  #hasPutOut(): boolean {
    const stat = fs.statSync(path.join(this.#folder, 'capture.ndjson'), { throwIfNoEntry: false });
    // The time is only compared with itself, so a step of the wall clock changes nothing but once.
    const output = stat && `${stat.size} ${stat.mtimeMs}`;
    const changed = output !== this.#output;
    this.#output = output;
    return changed;
  }

  #knownHaveRun(): boolean {
    const before = this.#processes;
    this.#processes = readings(before);
    return hasRun(before, this.#processes);
  }

  /** A process that was not there at the last look has run, whatever its clock shows. */
  #anyHasRun(): boolean {
    const before = this.#processes;
    this.#processes = readings(markedProcesses(this.#mark, shimOf(this.#folder)));
    return hasRun(before, this.#processes);
  }
}

const readings = (processes: readonly ProcessId[]): Reading[] =>
  processes.flatMap(({ pid, startTicks }) => {
    const ticks = cpuTicks({ pid, startTicks });
    return ticks === undefined ? [] : [{ pid, startTicks, ticks }];
  });

const hasRun = (before: readonly Reading[], after: readonly Reading[]): boolean =>
  after.some((now) => {
    const then = before.find(({ pid, startTicks }) => pid === now.pid && startTicks === now.startTicks);
    return then === undefined || now.ticks > then.ticks;
  });
