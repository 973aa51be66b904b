/** `candor dev` as a user starts it: a real process on a data folder of its own. What a test starts ends with the test. */
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, expect } from 'vitest';
import type { AgentBody, AgentCreateInput } from '../../core/contract/agents.ts';
import type { Json, ListBody } from '../../core/contract/common.ts';
import {
  type EventBody,
  isTerminal,
  type LogPageBody,
  type LogRecordBody,
  type RunBody,
  type VmBody,
} from '../../core/contract/runs.ts';
import { answerFaults } from '../support/documented.ts';
import type { Orders } from './fixtures/work.ts';

const CANDOR = fileURLToPath(new URL('../../cli/candor.mjs', import.meta.url));
const WORK = fileURLToPath(new URL('./fixtures/work.ts', import.meta.url));

/** Waits until the check answers something. The limit is generous: it only says when to give up. */
export async function until<T>(what: string, check: () => T | Promise<T>, limitMs = 60_000) {
  const giveUpAt = performance.now() + limitMs;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== false && value !== null) return value as NonNullable<Exclude<T, false>>;
    if (performance.now() > giveUpAt) throw new Error(`waited in vain for: ${what}`);
    await sleep(20);
  }
}

export { sleep };

const afterTest: (() => unknown)[] = [];
const afterFile: (() => unknown)[] = [];

async function cleanUp(cleanups: (() => unknown)[]): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}
afterEach(() => cleanUp(afterTest));
afterAll(() => cleanUp(afterFile));

export interface Process {
  readonly pid: number;
  /** `runner` and `shim` are Candor's own; `work` is everything else that carries the mark of a VM. */
  readonly kind: 'runner' | 'shim' | 'work';
  readonly vmId: string;
  readonly runId: string | undefined;
}

function readProc(pid: number, name: string): readonly string[] {
  try {
    return fs.readFileSync(`/proc/${pid}/${name}`, 'utf8').split('\0').slice(0, -1);
  } catch {
    return [];
  }
}

export function isAlive(pid: number): boolean {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !['Z', 'X'].includes(stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3));
  } catch {
    return false;
  }
}

const pids = () =>
  fs
    .readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid && isAlive(pid));

/** All processes that carry the mark of a VM of this data folder. */
export function processesOf(dataDir: string): readonly Process[] {
  return pids().flatMap((pid) => {
    const environment = readProc(pid, 'environ');
    const value = (name: string) => environment.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1);
    const vmId = value('CANDOR_VM_ID');
    if (vmId === undefined || !environment.some((each) => each.includes(`=${dataDir}/`))) return [];
    const argv = readProc(pid, 'cmdline');
    const is = (file: string) => argv.some((argument) => argument.endsWith(`/runner/${file}`));
    const kind = is('main.ts') ? 'runner' : is('shim.ts') ? 'shim' : 'work';
    return [{ pid, kind, vmId, runId: value('CANDOR_RUN_ID') } as const];
  });
}

/** The DynamoDB engines that have this data folder's table open. */
export const enginesOf = (dataDir: string): readonly number[] =>
  pids().filter((pid) => {
    const [program = '', ...args] = readProc(pid, 'cmdline');
    return path.basename(program) === 'dynoxide' && args.some((each) => each.startsWith(`${dataDir}/`));
  });

export function kill(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has gone by itself.
  }
}

/** A folder that is removed again. */
export function temporaryFolder(scope: 'test' | 'file' = 'test'): string {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(tmpdir(), 'candor-e2e-')));
  (scope === 'test' ? afterTest : afterFile).push(() =>
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }),
  );
  return folder;
}

export interface Answer<T> {
  readonly status: number;
  readonly body: T;
}

export interface Endpoint {
  readonly url: string;
  readonly token: string;
  readonly pid: number;
}

export interface Problem {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
}

export interface StartOptions {
  readonly args?: readonly string[];
  /** Overrides of core/config.ts. */
  readonly config?: Readonly<Record<string, number>>;
  readonly environment?: Readonly<Record<string, string>>;
}

/** One start of `candor dev`. */
export interface Dev {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Resolves with the exit code, or with the signal's name. */
  readonly exited: Promise<number | string>;
}

/** Quicker than the defaults where a test would only wait. */
const QUICK = {
  heartbeatIdleSeconds: 0.5,
  watchdogIntervalSeconds: 0.5,
  cancelInterruptSeconds: 1,
  cancelTerminateSeconds: 1,
};

/** A data folder, and the `candor dev` that runs on it now. */
export class Machine {
  readonly dataDir: string;
  /** For witnesses and gates: outside of the data folder. */
  readonly outside: string;
  readonly #started: Dev[] = [];
  #config: StartOptions['config'] = {};
  #count = 0;

  constructor(scope: 'test' | 'file' = 'test') {
    const folder = temporaryFolder(scope);
    this.dataDir = path.join(folder, 'data');
    this.outside = path.join(folder, 'outside');
    fs.mkdirSync(this.outside);
    (scope === 'test' ? afterTest : afterFile).push(() => this.#endAll());
  }

  /** Starts `candor dev`, without waiting for it. */
  launch({ args = [], config, environment = {} }: StartOptions = {}): Dev {
    this.#config = config ?? this.#config;
    const child = spawn(process.execPath, [CANDOR, 'dev', '--data-dir', this.dataDir, '--json', ...args], {
      // A group of its own, as a terminal's foreground job has: so that Ctrl-C can be acted out.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH ?? '',
        HOME: process.env.HOME ?? '',
        CANDOR_CONFIG: JSON.stringify({ ...QUICK, ...this.#config }),
        CANDOR_LOG: 'info',
        ...environment,
      },
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const exited = new Promise<number | string>((resolve) =>
      child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown')),
    );
    const dev = { child, pid: child.pid ?? 0, stdout: () => stdout, stderr: () => stderr, exited };
    this.#started.push(dev);
    return dev;
  }

  /** Starts `candor dev` and waits until it says that it is ready. */
  async start(options: StartOptions = {}): Promise<Dev> {
    const first = !fs.existsSync(path.join(this.dataDir, 'server.json'));
    const dev = this.launch({ ...options, args: [...(first ? ['--port', '0'] : []), ...(options.args ?? [])] });
    await until('endpoint.json', () => {
      if (!isAlive(dev.pid)) throw new Error(`candor dev ended before it was ready: ${dev.stderr()}`);
      return this.#readEndpoint()?.pid === dev.pid;
    });
    return dev;
  }

  get dev(): Dev {
    return this.#started.at(-1)!;
  }

  get endpoint(): Endpoint {
    return this.#readEndpoint()!;
  }

  get endpointFile(): string {
    return path.join(this.dataDir, 'endpoint.json');
  }

  #readEndpoint(): Endpoint | undefined {
    return fs.existsSync(this.endpointFile)
      ? (JSON.parse(fs.readFileSync(this.endpointFile, 'utf8')) as Endpoint)
      : undefined;
  }

  /** `kill -9`, and done when the process has gone. */
  async killDev(): Promise<void> {
    kill(this.dev.pid);
    await this.dev.exited;
  }

  processes(kind?: Process['kind'], runId?: string): readonly Process[] {
    return processesOf(this.dataDir).filter(
      (each) => (kind === undefined || each.kind === kind) && (runId === undefined || each.runId === runId),
    );
  }

  async request<T>(method: string, url: string, body?: unknown, token = this.endpoint.token): Promise<Answer<T>> {
    const response = await fetch(`${this.endpoint.url}${url}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    expect(await answerFaults(method, url.split('?')[0] ?? url, response.clone()), `${method} ${url}`).toEqual([]);
    return { status: response.status, body: (await response.json()) as T };
  }

  async get<T>(url: string, token?: string): Promise<T> {
    const { status, body } = await this.request<T>('GET', url, undefined, token);
    expect(status, JSON.stringify(body)).toBe(200);
    return body;
  }

  async post<T>(url: string, body: unknown = {}): Promise<T> {
    const answer = await this.request<T>('POST', url, body);
    expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
    return answer.body;
  }

  agent(command: readonly string[], more: Partial<AgentCreateInput> = {}): Promise<AgentBody> {
    return this.post<AgentBody>('/v1/agents', { name: `agent ${++this.#count}`, command, ...more });
  }

  /** An agent that does what its runs' inputs order. */
  worker(more: Partial<AgentCreateInput> = {}): Promise<AgentBody> {
    return this.agent([process.execPath, '--disable-warning=ExperimentalWarning', WORK], more);
  }

  /** Orders for one run, with a witness of its own and, if wanted, a gate that is still closed. */
  orders(orders: Omit<Orders, 'witness' | 'gate'> & { readonly gated?: boolean } = {}): Orders {
    const { gated = false, ...rest } = orders;
    const file = path.join(this.outside, `work-${++this.#count}`);
    return { ...rest, witness: `${file}.witness`, ...(gated && { gate: `${file}.gate` }) };
  }

  run(agent: { readonly id: string }, input: unknown = null): Promise<RunBody> {
    return this.post<RunBody>(`/v1/agents/${agent.id}/runs`, { input: input as Json });
  }

  getRun(run: { readonly id: string }, token?: string): Promise<RunBody> {
    return this.get<RunBody>(`/v1/runs/${run.id}`, token);
  }

  /** Waits until the work has written its first line, and Candor has seen it running. */
  async running(run: { readonly id: string }, orders?: Orders): Promise<RunBody> {
    if (orders !== undefined) await until('the start of the work', () => witnessed(orders).length > 0);
    return until(`${run.id} running`, async () => {
      const body = await this.getRun(run);
      if (isTerminal(body.status)) throw new Error(`it has ended: ${JSON.stringify(body)}`);
      return body.status === 'running' && body;
    });
  }

  ended(run: { readonly id: string }, token?: string): Promise<RunBody> {
    return until(`the end of ${run.id}`, async () => {
      const body = await this.getRun(run, token);
      return isTerminal(body.status) && body;
    });
  }

  async events(run: { readonly id: string }): Promise<readonly EventBody[]> {
    return (await this.get<ListBody<EventBody>>(`/v1/runs/${run.id}/events?limit=100`)).items;
  }

  /** All that was captured; waits until it is complete. */
  async logs(run: { readonly id: string }): Promise<readonly LogRecordBody[]> {
    const records: LogRecordBody[] = [];
    let cursor = '0';
    await until(`the whole log of ${run.id}`, async () => {
      const page = await this.get<LogPageBody>(`/v1/runs/${run.id}/logs?cursor=${cursor}`);
      records.push(...page.items);
      cursor = page.nextCursor;
      return page.complete;
    });
    return records;
  }

  async stdout(run: { readonly id: string }): Promise<string> {
    return (await this.logs(run))
      .filter(({ stream }) => stream === 'stdout')
      .map(({ text }) => text)
      .join('');
  }

  /** Waits until the run's VM is terminated and nothing carries its mark. */
  async vmGone(run: RunBody): Promise<VmBody> {
    const vm = await until(`the end of ${run.vmId}`, async () => {
      const body = await this.get<VmBody>(`/v1/vms/${run.vmId}`);
      return body.status === 'terminated' && body;
    });
    expect(this.processes().filter(({ vmId }) => vmId === run.vmId)).toEqual([]);
    return vm;
  }

  async #endAll(): Promise<void> {
    for (const dev of this.#started) kill(dev.pid);
    await Promise.all(this.#started.map((dev) => dev.exited));
    await until('nothing of this machine is left', () => {
      const left = [...processesOf(this.dataDir).map(({ pid }) => pid), ...enginesOf(this.dataDir)];
      for (const pid of left) kill(pid);
      return left.length === 0;
    });
  }
}

/** What the work itself has witnessed, without the pid. */
export function witnessed({ witness }: Orders): readonly string[] {
  if (!fs.existsSync(witness)) return [];
  return fs
    .readFileSync(witness, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (line.startsWith('start ') ? 'start' : line));
}

export const workPid = ({ witness }: Orders): number =>
  Number(/^start (\d+)$/m.exec(fs.readFileSync(witness, 'utf8'))?.[1]);

/** Lets work that waits at its gate go on. */
export function open({ gate }: Orders): void {
  if (gate !== undefined) fs.writeFileSync(gate, '');
}

/** The lines that work with these orders writes to stdout. */
export const linesOf = ({ lines = 0 }: Orders): string =>
  Array.from({ length: 2 * lines }, (_, index) => `line ${index + 1}\n`).join('');

/** A run's events have no gap, exactly one of them is an end, and it is the one that the run shows. */
export async function expectOneEnd(machine: Machine, run: { readonly id: string }): Promise<RunBody> {
  const body = await machine.getRun(run);
  const events = await machine.events(run);
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
  const ends = events.filter(({ type }) => isTerminal(type.replace(/^run\./, '') as RunBody['status']));
  expect(ends.map(({ type }) => type)).toEqual([`run.${body.status}`]);
  return body;
}
