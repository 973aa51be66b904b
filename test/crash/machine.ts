/** A data folder with a `candor dev` that is started again whenever it has died, as a user would. */
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { HITS_FOLDER, KILLS_FOLDER, type KillFile, type Order, PLAN_FILE, type PlanFile, type Victim } from './plan.ts';
import { type Found, processesOf, type Role } from './processes.ts';
import type { Random } from './random.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CANDOR = path.join(ROOT, 'cli/candor.mjs');
const HOOK = new URL('./hook.ts', import.meta.url).href;
const READY_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 60_000;
const ANSWER_LIMIT_MS = 60_000;

/** Paces at which a round takes seconds; their order among each other is that of the defaults. */
const CONFIG = {
  heartbeatIdleSeconds: 0.5,
  watchdogIntervalSeconds: 0.5,
  leaseSeconds: 5,
  unresponsiveSeconds: 30,
  cancelInterruptSeconds: 0.5,
  cancelTerminateSeconds: 0.5,
  drainSeconds: 2,
  overdueGraceSeconds: 3,
};

export interface Answer<T> {
  readonly status: number;
  readonly body: T;
}

/** A death that we have brought about, or that followed from one. */
export interface Kill {
  /** Absent where it came at a random moment. */
  readonly order?: Order;
  readonly victims: readonly Victim[];
}

export class CrashMachine {
  readonly folder: string;
  readonly dataDir: string;
  readonly witness: string;
  readonly #crashFolder: string;
  readonly #random: Random;
  readonly #kills: Kill[] = [];
  readonly #killFilesRead = new Set<string>();
  readonly #problems: string[] = [];
  #child: ChildProcess | undefined;
  #keeping: Promise<void> | undefined;
  #expectStop = false;
  #done = false;
  #starts = 0;
  #names = 0;

  constructor(folder: string, random: Random) {
    this.folder = folder;
    this.dataDir = path.join(folder, 'data');
    this.witness = path.join(folder, 'witness');
    this.#crashFolder = path.join(folder, 'crash');
    this.#random = random;
    for (const name of [HITS_FOLDER, KILLS_FOLDER]) {
      fs.mkdirSync(path.join(this.#crashFolder, name), { recursive: true });
    }
    this.arm([]);
  }

  /** How often `candor dev` has been started. */
  get starts(): number {
    return this.#starts;
  }

  get hitsFolder(): string {
    return path.join(this.#crashFolder, HITS_FOLDER);
  }

  /** From now on `candor dev` is kept up. */
  start(): void {
    this.#keeping = this.#keep();
  }

  /** The orders that stand from now on; those before them are withdrawn. */
  arm(orders: readonly Order[]): void {
    const file = path.join(this.#crashFolder, PLAN_FILE);
    const plan: PlanFile = { dataDir: this.dataDir, orders };
    fs.writeFileSync(`${file}.new`, JSON.stringify(plan));
    fs.renameSync(`${file}.new`, file);
  }

  /** All deaths so far that we had a hand in. */
  kills(): readonly Kill[] {
    const folder = path.join(this.#crashFolder, KILLS_FOLDER);
    for (const name of fs.readdirSync(folder)) {
      if (this.#killFilesRead.has(name)) continue;
      const text = fs.readFileSync(path.join(folder, name), 'utf8');
      // It is being written just now.
      if (text === '') continue;
      this.#killFilesRead.add(name);
      this.#kills.push(JSON.parse(text) as KillFile);
    }
    return this.#kills;
  }

  /** Deaths that nobody has brought about, and stops that failed. */
  problems(): readonly string[] {
    return this.#problems.splice(0);
  }

  processes(): readonly Found[] {
    return processesOf(this.dataDir);
  }

  /** `kill -9` from outside, of one of each kind. Answers whether all of them were there to be killed. */
  killAtOnce(roles: readonly Role[]): boolean {
    const found = this.processes();
    const victims: Found[] = [];
    for (const role of roles) {
      const candidates = found.filter((each) => each.role === role);
      if (candidates.length === 0) return false;
      const related = candidates.filter(({ vmId }) => victims.some((victim) => victim.vmId === vmId));
      victims.push(this.#random.pick(related.length > 0 ? related : candidates));
    }
    this.#kills.push({ victims });
    for (const { pid } of victims) signal(pid, 'SIGKILL');
    return true;
  }

  /** Ctrl-C or a service manager's stop; `candor dev` is started again when it has stopped. */
  askToStop(): void {
    this.#expectStop = true;
    if (this.#child?.pid !== undefined) signal(this.#child.pid, 'SIGTERM');
  }

  /** One request, whose answer may never come: then what became of it is not known. */
  async tryRequest<T>(method: string, url: string, body?: unknown): Promise<Answer<T> | undefined> {
    const endpoint = this.#endpoint();
    if (endpoint === undefined) return undefined;
    try {
      const response = await fetch(`${endpoint.url}${url}`, {
        method,
        headers: { authorization: `Bearer ${endpoint.token}`, 'content-type': 'application/json' },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(10_000),
      });
      return { status: response.status, body: (await response.json()) as T };
    } catch {
      return undefined;
    }
  }

  /** Asks until it is answered. */
  get<T>(url: string): Promise<T> {
    return waitFor(`an answer to GET ${url}`, ANSWER_LIMIT_MS, async () => {
      const answer = await this.tryRequest<T>('GET', url);
      return answer?.status === 200 ? answer.body : undefined;
    });
  }

  /** Creates something, again under another name where no answer came: then there may be two of it. */
  create<T>(url: string, body: () => Readonly<Record<string, unknown>>): Promise<T> {
    return waitFor(`an answer to POST ${url}`, ANSWER_LIMIT_MS, async () => {
      const answer = await this.tryRequest<T>('POST', url, { ...body(), name: `crash test ${++this.#names}` });
      if (answer !== undefined && answer.status !== 201 && answer.status < 500) {
        throw new Error(`POST ${url} was answered with ${JSON.stringify(answer)}`);
      }
      return answer?.status === 201 ? answer.body : undefined;
    });
  }

  /** A clean stop, and nothing may be left. */
  async stop(): Promise<void> {
    this.arm([]);
    this.#done = true;
    this.askToStop();
    await this.#keeping;
    const gone = await waitFor('nothing is left', 5000, () => this.processes().length === 0).catch(() => false);
    if (!gone) this.#problems.push(`after a clean stop: ${JSON.stringify(this.processes())}`);
  }

  /** Everything of this machine, whatever state it is in. */
  async destroy(): Promise<void> {
    this.#done = true;
    this.arm([]);
    await waitFor('nothing is left', 30_000, () => {
      for (const { pid } of this.processes()) signal(pid, 'SIGKILL');
      return this.processes().length === 0;
    });
    await this.#keeping;
  }

  async #keep(): Promise<void> {
    while (!this.#done) {
      await this.#oneLife();
      // Mostly at once, as a supervisor does it; now and then somebody has to notice first.
      if (!this.#done) await sleep(this.#random.chance(0.2) ? this.#random.below(1500) : 0);
    }
  }

  async #oneLife(): Promise<void> {
    this.#starts++;
    this.#expectStop = false;
    const log = fs.openSync(path.join(this.folder, 'control.log'), 'a');
    const child = spawn(process.execPath, [CANDOR, 'dev', '--data-dir', this.dataDir, '--json'], {
      detached: true,
      stdio: ['ignore', 'ignore', log],
      env: {
        PATH: process.env.PATH ?? '',
        HOME: process.env.HOME ?? '',
        CANDOR_CONFIG: JSON.stringify(CONFIG),
        CANDOR_LOG: 'info',
        CANDOR_CRASH: this.#crashFolder,
        NODE_OPTIONS: `--import=${HOOK}`,
        // The hook brings modules in before the program can set up its own.
        NODE_COMPILE_CACHE: path.join(ROOT, 'node_modules/.cache/candor'),
      },
    });
    fs.closeSync(log);
    this.#child = child;
    const startedAt = performance.now();
    const ended = new Promise<number | string>((resolve) =>
      child.once('exit', (code, name) => resolve(code ?? name ?? 'unknown')),
    );
    const unready = setInterval(() => {
      if (this.#endpoint()?.pid === child.pid) clearInterval(unready);
      else if (performance.now() - startedAt > READY_LIMIT_MS) {
        clearInterval(unready);
        this.#problems.push(`candor dev (pid ${child.pid}) was not ready after ${READY_LIMIT_MS / 1000} s`);
        signal(child.pid ?? 0, 'SIGKILL');
      }
    }, 50);
    const hung = setInterval(() => {
      if (!this.#expectStop) return;
      clearInterval(hung);
      setTimeout(() => {
        if (this.#child !== child || child.exitCode !== null || child.signalCode !== null) return;
        this.#problems.push(`candor dev (pid ${child.pid}) did not stop within ${STOP_LIMIT_MS / 1000} s`);
        signal(child.pid ?? 0, 'SIGKILL');
      }, STOP_LIMIT_MS).unref();
    }, 200);
    const how = await ended;
    clearInterval(unready);
    clearInterval(hung);
    this.#judge(child.pid ?? 0, how);
  }

  #judge(pid: number, how: number | string): void {
    const victims = this.kills().flatMap((kill) => kill.victims);
    const killed = victims.some((victim) => victim.pid === pid);
    const withoutEngine = victims.some(({ role }) => role === 'engine');
    // A stop that comes before it listens for signals ends it like any program.
    const stopped = this.#expectStop && (how === 0 || how === 'SIGTERM');
    if (!killed && !stopped && !(how === 1 && withoutEngine))
      this.#problems.push(`candor dev (pid ${pid}) ended by itself: ${how}`);
  }

  #endpoint(): { readonly url: string; readonly token: string; readonly pid: number } | undefined {
    try {
      return JSON.parse(fs.readFileSync(path.join(this.dataDir, 'endpoint.json'), 'utf8'));
    } catch {
      return undefined;
    }
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has gone by itself.
  }
}

export { sleep };

/** @throws Error when the time is over before the check answers something */
export async function waitFor<T>(what: string, limitMs: number, check: () => T | Promise<T>) {
  const giveUpAt = performance.now() + limitMs;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== false && value !== null) return value as NonNullable<Exclude<T, false>>;
    if (performance.now() > giveUpAt) throw new Error(`waited ${limitMs / 1000} s in vain for: ${what}`);
    await sleep(50);
  }
}
