/** A small API that answers as the contract says, and remembers what it was asked. It keeps only what the tests need. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { AgentBody } from '../../core/contract/agents.ts';
import type { EventBody, LogRecordBody, RunBody, VmBody } from '../../core/contract/runs.ts';
import type { OccurrenceBody, ScheduleBody } from '../../core/contract/schedules.ts';

export const AS_OF = '2027-01-31T09:00:00.000Z';
export const TOKEN = 'the-token-of-the-test';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
}

export interface Answer {
  readonly status?: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as they are, instead of a body. With `cutAfter`, only so many of them, and then nothing more. */
  readonly bytes?: Buffer;
  readonly cutAfter?: number;
}

/** Answers a request, or `drop` to cut the connection, or nothing to leave it to the API. */
type Override = (asked: Asked) => Answer | 'drop' | 'hold' | undefined;

export const agent = (over: Partial<AgentBody> = {}): AgentBody => ({
  id: 'agt_one',
  name: 'report',
  kind: 'oneshot',
  command: ['node', 'report.js'],
  version: 3,
  createdBy: 'usr_admin',
  createdAt: '2027-01-30T09:00:00.000Z',
  updatedAt: '2027-01-31T08:00:00.000Z',
  asOf: AS_OF,
  ...over,
});

export const schedule = (over: Partial<ScheduleBody> = {}): ScheduleBody => ({
  id: 'sch_one',
  agentId: 'agt_one',
  name: 'daily',
  status: 'active',
  cadence: { cron: '0 9 * * *', timezone: 'UTC' },
  overlapPolicy: 'skip',
  catchupWindow: 'PT1H',
  input: null,
  version: 4,
  specVersion: 2,
  clock: { status: 'synced', specVersion: 2 },
  overdue: false,
  nextOccurrences: ['2027-02-01T09:00:00Z'],
  liveRuns: [],
  failureStreak: 0,
  buffered: [],
  skips: [],
  createdBy: 'usr_admin',
  createdAt: '2027-01-30T09:00:00.000Z',
  updatedAt: '2027-01-31T08:00:00.000Z',
  asOf: AS_OF,
  ...over,
});

export const run = (over: Partial<RunBody> = {}): RunBody => ({
  id: 'run_one',
  agentId: 'agt_one',
  agentVersion: 3,
  trigger: { kind: 'api', by: 'usr_admin' },
  displayName: 'report · 2027-01-31T08:59:00Z',
  status: 'succeeded',
  attempt: 1,
  input: null,
  exitCode: 0,
  evidence: { source: 'runner', observedAt: '2027-01-31T08:59:30.000Z', detail: 'the process exited with 0' },
  vmId: 'vm_one',
  createdAt: '2027-01-31T08:59:00.000Z',
  queuedAt: '2027-01-31T08:59:00.000Z',
  startedAt: '2027-01-31T08:59:10.000Z',
  endedAt: '2027-01-31T08:59:30.000Z',
  version: 3,
  asOf: AS_OF,
  ...over,
});

/** A run that has not ended. */
export function liveRun(over: Partial<RunBody> = {}): RunBody {
  const { exitCode: _, endedAt: __, ...rest } = run();
  return { ...rest, status: 'running', version: 2, ...over };
}

export const event = (sequence: number, status: string): EventBody => ({
  sequence,
  type: `run.${status}`,
  at: '2027-01-31T08:59:00.000Z',
  status,
  detail: { attempt: 1 },
});

export const out = (text: string): LogRecordBody => ({ atMs: 1234, stream: 'stdout', text });

export class FakeApi {
  readonly asked: Asked[] = [];
  agents: AgentBody[] = [agent()];
  schedules: ScheduleBody[] = [schedule()];
  runs: RunBody[] = [run()];
  vms: VmBody[] = [];
  events: EventBody[] = [];
  occurrences: OccurrenceBody[] = [];
  log: LogRecordBody[] = [];
  logComplete = true;
  pageSize = 100;
  override: Override = () => undefined;
  #server: Server | undefined;

  async listen(port = 0): Promise<this> {
    const server = createServer((request, response) => void this.#serve(request, response));
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    this.#server = server;
    return this;
  }

  get port(): number {
    return (this.#server!.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Goes away as a crashed server does: with open connections cut. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  last(method: string, path: string): Asked {
    const found = this.asked.findLast((each) => each.method === method && each.path === path);
    if (found === undefined) throw new Error(`nobody asked for ${method} ${path}`);
    return found;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const url = new URL(request.url ?? '/', 'http://api');
    const asked: Asked = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
    this.asked.push(asked);
    const answer = this.override(asked) ?? this.#answer(asked);
    if (answer === 'hold') return;
    if (answer === 'drop') {
      request.socket.destroy();
      return;
    }
    const status = answer.status ?? 200;
    if (answer.bytes !== undefined) {
      response.writeHead(status, { 'Content-Length': String(answer.bytes.length), ...answer.headers });
      if (answer.cutAfter === undefined) response.end(answer.bytes);
      else response.write(answer.bytes.subarray(0, answer.cutAfter), () => request.socket.destroy());
      return;
    }
    response.writeHead(status, {
      'Content-Type': status < 400 ? 'application/json' : 'application/problem+json',
      ...answer.headers,
    });
    response.end(answer.body === undefined ? '' : JSON.stringify(answer.body));
  }

  #answer(asked: Asked): Answer {
    if (asked.path === '/v1/health') return { body: { status: 'ok', asOf: AS_OF } };
    if (asked.headers.authorization !== `Bearer ${TOKEN}`)
      return problem(401, 'unauthenticated', 'The credential is missing or wrong');
    const [, , kind = '', id = '', action = ''] = asked.path.split('/');
    if (kind === 'system')
      return { body: { parts: [{ name: 'clock', owner: 'schedule clock', detail: {} }], asOf: AS_OF } };
    const collection = this.#collection(kind);
    if (id === '') return asked.method === 'GET' ? this.#page(collection, asked) : { status: 405 };
    if (kind === 'agents' && action === 'runs') return { status: 202, body: this.runs[0] };
    if (kind === 'agents' && action === 'schedules' && asked.method === 'POST')
      return { status: 201, body: schedule() };
    const found = collection.find((item) => item.id === id);
    if (found === undefined)
      return problem(404, 'not_found', 'There is no such resource', `There is no ${kind} ${id}.`);
    if (action === 'events') return this.#page(this.events, asked);
    if (action === 'occurrences') return this.#page(this.occurrences, asked);
    if (action === 'upcoming') return { body: { items: [{ occurrence: '2027-02-01T09:00:00Z' }], asOf: AS_OF } };
    if (action === 'logs') return this.#logs(asked);
    if (action === 'trigger' || action === 'cancel') return { status: 202, body: this.runs[0] };
    if (asked.method === 'PATCH' || asked.method === 'DELETE') return this.#change(asked, found as AgentBody);
    return { body: found };
  }

  #collection(kind: string): readonly { readonly id: string }[] {
    return { agents: this.agents, schedules: this.schedules, runs: this.runs, vms: this.vms }[kind] ?? [];
  }

  #page(items: readonly unknown[], asked: Asked): Answer {
    const from = Number(asked.query.get('cursor') ?? 0);
    const next = from + this.pageSize;
    const more = next < items.length && { nextCursor: String(next) };
    return { body: { items: items.slice(from, next), ...more, asOf: AS_OF } };
  }

  #logs(asked: Asked): Answer {
    const from = Number(asked.query.get('cursor') ?? 0);
    const next = Math.min(from + this.pageSize, this.log.length);
    const complete = this.logComplete && next === this.log.length;
    return { body: { items: this.log.slice(from, next), nextCursor: String(next), complete, asOf: AS_OF } };
  }

  #change(asked: Asked, found: AgentBody): Answer {
    const ifMatch = asked.headers['if-match'];
    if (ifMatch === undefined) return problem(428, 'precondition_required', 'If-Match is required');
    if (ifMatch !== '*' && ifMatch !== `"${found.version}"`)
      return problem(412, 'version_conflict', 'The resource has changed meanwhile', 'It has.', {
        currentVersion: found.version,
      });
    if (asked.method === 'DELETE') return { status: 204 };
    // `null` takes a field back to its default: an answer leaves it out.
    const changed = Object.entries({ ...found, ...(asked.body as object) }).filter(
      ([name, value]) => value !== null || name === 'input',
    );
    return { body: { ...Object.fromEntries(changed), version: found.version + 1 } };
  }
}

export const problem = (
  status: number,
  code: string,
  title: string,
  detail = `${title}.`,
  members: Readonly<Record<string, unknown>> = {},
): Answer => ({
  status,
  body: { type: `urn:candor:problem:${code}`, title, status, detail, code, requestId: 'req-7', ...members },
});
