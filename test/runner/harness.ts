/** A server that speaks the runner's door, and a VM whose runner it serves. What is started here is ended here. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { HeartbeatResponse, RegistryEntry, RunnerCommand } from '../../core/contract/runner.ts';
import { ArtifactQuery, HeartbeatRequest, LogChunk, RegisterRequest } from '../../core/contract/runner.ts';
import type { LogRecord } from '../../core/ports.ts';
import type { StartCommand } from '../../runner/state.ts';

const MAIN = fileURLToPath(new URL('../../runner/main.ts', import.meta.url));
const KEY = 'the-key-of-this-vm';
let vmCount = 0;

/** Waits until `read` answers something, at most 20 seconds unless it is told to wait longer. */
export async function waitFor<T>(what: string, read: () => T | undefined | false | null, limitMs = 20_000): Promise<T> {
  const untilMs = Date.now() + limitMs;
  for (;;) {
    const value = read();
    if (value !== undefined && value !== false && value !== null) return value;
    if (Date.now() > untilMs) throw new Error(`waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

type Verdict = { readonly status: number; readonly code?: string };

/** The server's side. It delivers every command again until it is acked, and acknowledges outcomes when told to. */
export class FakeServer {
  readonly commands: RunnerCommand[] = [];
  readonly heartbeats: HeartbeatRequest[] = [];
  readonly registrations: RegisterRequest[] = [];
  readonly chunks = new Map<string, string>();
  readonly problems: string[] = [];
  /** What was put of artifacts, by `<run>.<attempt>/<path>`. */
  readonly artifacts = new Map<string, Buffer>();
  /** Where artifacts are to be put instead. */
  artifactLocation: ((url: string) => string) | undefined;
  /** Larger bodies do not come through to the server, but for those that go to `/store/…`: 413, as of API Gateway. */
  bodyBytesMax = Number.POSITIVE_INFINITY;
  /** Names of the artifacts about which was asked, where they are wanted. */
  readonly asked: string[] = [];
  readonly nonces: string[] = [];
  acknowledging = false;
  leaseMs = 45_000;
  /** A token to hand out; the first one is good until this one has been used. */
  freshToken: string | undefined;
  freshTokenUsed = false;
  /** What to do instead of serving a request. */
  verdict: (path: string) => Verdict | undefined = () => undefined;
  /** Whether a registration comes from this VM. */
  provesItself = (request: IncomingMessage, _body: string): boolean =>
    request.headers.authorization === `Bearer ${KEY}`;
  /** What the next answer delivers, instead of all that is not acked. */
  deliver: ((acks: number) => readonly RunnerCommand[]) | undefined;
  #server: Server | undefined;
  #inFlight = 0;

  async listen(port = 0): Promise<void> {
    const server = createServer((request, response) => void this.#serve(request, response));
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    this.#server = server;
  }

  get port(): number {
    return (this.#server!.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  /** The latest that was heard of a run. */
  entry(runId: string, attempt = 1): RegistryEntry | undefined {
    return this.heartbeats.at(-1)?.registry.find((entry) => entry.runId === runId && entry.attempt === attempt);
  }

  logs(runId: string, attempt = 1): LogRecord[] {
    const records: LogRecord[] = [];
    for (let chunk = 0; ; chunk += 1) {
      const body = this.chunks.get(`${runId}.${attempt}.${chunk}`);
      if (body === undefined) return records;
      records.push(...(LogChunk.parse(JSON.parse(body)).records as LogRecord[]));
    }
  }

  text(runId: string, stream: LogRecord['stream']): string {
    return this.logs(runId)
      .filter((record) => record.stream === stream)
      .map((record) => record.text ?? '')
      .join('');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = request.url ?? '';
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const bytes = Buffer.concat(parts);
    const body = bytes.toString('utf8');
    const answer = (status: number, value: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(value));
    };
    try {
      const verdict = this.verdict(url);
      const tooLarge = bytes.length > this.bodyBytesMax && !url.startsWith('/store/');
      if (tooLarge) answer(413, { message: 'Request Entity Too Large' });
      else if (verdict) answer(verdict.status, { code: verdict.code ?? 'try_again' });
      else if (url === '/runner/v1/register') this.#register(request, body, answer);
      else if (url === '/runner/v1/heartbeat') await this.#heartbeat(request, body, answer);
      else if (url.includes('/artifacts?')) this.#artifact(request, response, bytes);
      else this.#logs(request, url, body, answer);
    } catch (error) {
      this.problems.push(String(error));
      answer(500, { code: 'internal_error' });
    }
  }

  /** Takes an artifact, or sends it on to `/store/…` of this very server, where it must come without a token. */
  #artifact(request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
    const match = /^(\/store)?\/runner\/v1\/runs\/([^/]+)\/attempts\/(\d+)\/artifacts\?(.*)$/.exec(request.url ?? '');
    if (!match || request.method !== 'PUT') throw new Error(`unexpected ${request.method} ${request.url}`);
    const [, store, runId, attempt, query] = match;
    const { authorization } = request.headers;
    if (store ? authorization !== undefined : !authorization?.startsWith('Bearer ')) throw new Error('wrong token');
    const { ask, ...artifact } = (store ? ArtifactQuery.strip() : ArtifactQuery).parse(
      Object.fromEntries(new URLSearchParams(query)),
    );
    if (ask === 'true' && !store) this.asked.push(artifact.path);
    if (ask === 'true' && bytes.length > 0) throw new Error('a question with a body');
    if (this.artifactLocation && !store) {
      const location = this.artifactLocation((request.url ?? '').replace('&ask=true', ''));
      response.writeHead(307, { location }).end();
      return;
    }
    if (ask === 'true') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ send: 'here' }));
      return;
    }
    if (bytes.length !== artifact.bytes || request.headers['content-length'] !== String(artifact.bytes)) {
      throw new Error(`${artifact.path} came with ${bytes.length} bytes`);
    }
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    if (sha256 !== artifact.sha256) throw new Error(`${artifact.path} came with another content`);
    const signed = new URLSearchParams(query).get('X-Amz-SignedHeaders')?.includes('x-amz-checksum-sha256') === true;
    const checksum = signed ? Buffer.from(sha256, 'hex').toString('base64') : undefined;
    if (request.headers['x-amz-checksum-sha256'] !== checksum) throw new Error('wrong checksum header');
    this.artifacts.set(`${runId}.${attempt}/${artifact.path}`, bytes);
    response.writeHead(204).end();
  }

  #register(request: IncomingMessage, body: string, answer: (status: number, value: unknown) => void): void {
    if (!this.provesItself(request, body)) throw new Error('wrong key');
    const registration = RegisterRequest.parse(JSON.parse(body));
    this.registrations.push(registration);
    if (!this.nonces.includes(registration.nonce)) this.nonces.push(registration.nonce);
    const generation = this.nonces.indexOf(registration.nonce) + 1;
    answer(200, { generation, token: `token-${generation}`, nextHeartbeatMs: 100 });
  }

  async #heartbeat(request: IncomingMessage, body: string, answer: (status: number, value: unknown) => void) {
    this.#inFlight += 1;
    if (this.#inFlight > 1) this.problems.push('two heartbeats in flight');
    await sleep(2);
    this.#inFlight -= 1;
    const heartbeat = HeartbeatRequest.parse(JSON.parse(body));
    if (heartbeat.generation < this.nonces.length) return answer(409, { code: 'stale_generation' });
    const fresh = this.freshToken !== undefined && request.headers.authorization === `Bearer ${this.freshToken}`;
    if (fresh) this.freshTokenUsed = true;
    const valid = fresh || request.headers.authorization === `Bearer token-${heartbeat.generation}`;
    if (!valid || (this.freshTokenUsed && !fresh)) throw new Error('wrong token');
    const last = this.heartbeats.at(-1);
    if (last?.generation === heartbeat.generation && heartbeat.seq <= last.seq) this.problems.push('seq does not rise');
    this.heartbeats.push(heartbeat);
    const pending = this.commands.filter(({ number }) => number > heartbeat.acks);
    const ended = heartbeat.registry.filter(({ state }) => ['ended', 'not_started', 'gone'].includes(state));
    answer(200, {
      commands: this.deliver?.(heartbeat.acks) ?? pending,
      acknowledged: this.acknowledging ? ended.map(({ runId, attempt }) => ({ runId, attempt })) : [],
      nextHeartbeatMs: 100,
      leaseMs: this.leaseMs,
      ...(this.freshToken !== undefined && { token: this.freshToken }),
    } satisfies HeartbeatResponse);
  }

  #logs(request: IncomingMessage, url: string, body: string, answer: (status: number, value: unknown) => void): void {
    const match = /^\/runner\/v1\/runs\/([^/]+)\/attempts\/(\d+)\/logs\/(\d+)$/.exec(url);
    if (!match || request.method !== 'PUT') throw new Error(`unexpected ${request.method} ${url}`);
    LogChunk.parse(JSON.parse(body));
    const key = `${match[1]}.${match[2]}.${match[3]}`;
    const known = this.chunks.get(key);
    if (known !== undefined && known !== body) this.problems.push(`chunk ${key} came again with another content`);
    this.chunks.set(key, body);
    answer(200, {});
  }
}

interface RunnerOptions {
  readonly through?: readonly string[];
  readonly nodeOptions?: string;
  /** More arguments of the runner. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** One VM: its folder, its server and its runner's process. */
export class Vm {
  readonly server = new FakeServer();
  readonly vmId: string;
  readonly root: string;
  readonly dir: string;
  runner: ChildProcess | undefined;
  stderr = '';
  readonly #runners: ChildProcess[] = [];
  #next = 1;

  constructor() {
    vmCount += 1;
    this.vmId = `vm_test_${process.pid}_${vmCount}`;
    this.root = fs.mkdtempSync(path.join(os.tmpdir(), 'candor-runner-'));
    this.dir = path.join(this.root, 'vm');
    fs.mkdirSync(this.dir);
  }

  static async create(): Promise<Vm> {
    const vm = new Vm();
    await vm.server.listen();
    const identity = { vmId: vm.vmId, url: `http://127.0.0.1:${vm.server.port}`, key: KEY };
    fs.writeFileSync(path.join(vm.dir, 'runner.json'), JSON.stringify(identity), { mode: 0o600 });
    return vm;
  }

  /** Lets the runner know more than it needs: that it is to give itself up, say. To be called before it is started. */
  identify(more: Readonly<Record<string, unknown>>): void {
    const file = path.join(this.dir, 'runner.json');
    fs.writeFileSync(file, JSON.stringify({ ...JSON.parse(fs.readFileSync(file, 'utf8')), ...more }));
  }

  /** `through`: a program and its arguments that start the runner's command, which is added to them. */
  startRunner(options: RunnerOptions = {}): ChildProcess {
    const [program = '', ...args] = [...(options.through ?? []), process.execPath, MAIN, '--dir', this.dir];
    args.push(...(options.args ?? []));
    const runner = spawn(program, args, {
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        PATH: process.env.PATH ?? '',
        HOME: this.root,
        CANDOR_VM_ID: this.vmId,
        NODE_COMPILE_CACHE: path.join(os.tmpdir(), 'candor-runner-compile-cache'),
        RUNNER_SECRET: 'must not leak',
        ...options.env,
        ...(options.nodeOptions !== undefined && { NODE_OPTIONS: options.nodeOptions }),
      },
    });
    runner.stderr?.on('data', (data) => {
      this.stderr += data;
    });
    this.#runners.push(runner);
    this.runner = runner;
    return runner;
  }

  /** `kill -9` of the runner, and of nothing else. */
  async killRunner(): Promise<void> {
    const runner = this.runner;
    runner?.kill('SIGKILL');
    await waitFor('the runner to die', () => runner?.exitCode !== null || runner.signalCode !== null);
  }

  async exitOf(runner: ChildProcess): Promise<number | null> {
    await waitFor('the runner to exit', () => runner.exitCode !== null || runner.signalCode !== null);
    return runner.exitCode;
  }

  order<C extends DistributiveOmit<RunnerCommand, 'number'>>(command: C): RunnerCommand {
    const numbered = { ...command, number: this.#next } as RunnerCommand;
    this.#next += 1;
    this.server.commands.push(numbered);
    return numbered;
  }

  /** Orders the start of a run. */
  run(runId: string, argv: readonly string[], options: Partial<StartCommand> = {}): RunnerCommand {
    return this.order({
      kind: 'start',
      runId,
      attempt: 1,
      command: argv,
      env: {},
      input: null,
      runToken: 'run-token',
      maxOutputBytes: 10_000,
      maxLogBytes: 10_000_000,
      ...options,
    });
  }

  cancel(runId: string, interruptMs = 300, terminateMs = 300, cause: 'cancel' | 'timeout' | 'idle' = 'cancel') {
    return this.order({ kind: 'cancel', runId, attempt: 1, cause, interruptMs, terminateMs });
  }

  async reached(runId: string, state: RegistryEntry['state'], limitMs?: number): Promise<RegistryEntry> {
    const read = () => {
      const entry = this.server.entry(runId);
      return entry?.state === state ? entry : undefined;
    };
    return waitFor(`${runId} to be ${state}`, read, limitMs);
  }

  file(name: string): string {
    return path.join(this.root, name);
  }

  read(name: string): string | undefined {
    return fs.existsSync(this.file(name)) ? fs.readFileSync(this.file(name), 'utf8') : undefined;
  }

  runFile(runId: string, name: string): Record<string, number> {
    return JSON.parse(fs.readFileSync(path.join(this.dir, 'runs', `${runId}.1`, name), 'utf8'));
  }

  /** Everything that lies in a run's folder, as text. */
  contentsOf(runId: string): string {
    const names = fs.readdirSync(path.join(this.dir, 'runs', `${runId}.1`), { recursive: true, withFileTypes: true });
    return names
      .filter((entry) => entry.isFile())
      .map((entry) => fs.readFileSync(path.join(entry.parentPath, entry.name), 'latin1'))
      .join('\n');
  }

  /** Pids of all processes of this VM that are not corpses, its runners included. */
  processes(): number[] {
    return fs.readdirSync('/proc').flatMap((name) => {
      try {
        const environment = fs.readFileSync(`/proc/${Number(name)}/environ`, 'utf8').split('\0');
        return environment.includes(`CANDOR_VM_ID=${this.vmId}`) ? [Number(name)] : [];
      } catch {
        return [];
      }
    });
  }

  /** Pids of the processes of one run, its shim included. */
  processesOf(runId: string): number[] {
    return this.processes().filter((pid) => {
      try {
        return fs.readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`CANDOR_RUN_ID=${runId}`);
      } catch {
        return false;
      }
    });
  }

  async dispose(): Promise<void> {
    for (let left = this.processes(); left.length > 0; left = this.processes()) {
      for (const pid of left) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It has gone by itself.
        }
      }
      await sleep(10);
    }
    await this.server.close();
    fs.rmSync(this.root, { recursive: true, force: true, maxRetries: 3 });
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

export const node = (script: string): string[] => [process.execPath, '-e', script];
export const sh = (script: string): string[] => ['sh', '-c', script];
