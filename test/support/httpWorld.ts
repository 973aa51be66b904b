/** The HTTP API over a real store (dynoxide, in memory) and fakes of everything else, for tests that send requests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { Hono } from 'hono';
import { DynamoStore } from '../../adapters/aws/store.ts';
import { ensureTable } from '../../adapters/aws/table.ts';
import { createApp, type Features } from '../../adapters/http/app.ts';
import { composeAuthenticate } from '../../adapters/http/authenticate.ts';
import { sealsWith } from '../../adapters/system/seals.ts';
import { urlRefusal } from '../../adapters/webhooks/addresses.ts';
import { ensurePrincipal } from '../../core/access/principals.ts';
import { CoreConfig } from '../../core/config.ts';
import { ChunkConflict } from '../../core/errors.ts';
import { timeOrderedId } from '../../core/ids.ts';
import type {
  ClockSpec,
  ExecutionInput,
  LaunchSpec,
  LogAddress,
  LogRecord,
  Ports,
  Rates,
  Store,
  TokenClaims,
} from '../../core/ports.ts';
import { heldToDocument } from './documented.ts';

const BINARY = fileURLToPath(new URL('../../node_modules/@dynoxide/linux-x64/dynoxide', import.meta.url));

export interface Engine {
  readonly client: DynamoDBClient;
  readonly stop: () => Promise<void>;
}

/** Starts an engine of this file's own; `stop` ends it. */
export async function startHttpEngine(): Promise<Engine> {
  const port = await freePort();
  const child = spawn(BINARY, ['serve', '--port', String(port)], { stdio: 'ignore' });
  // A test file that fails before its `afterAll` must not leave an engine behind.
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  const client = new DynamoDBClient({
    endpoint: `http://127.0.0.1:${port}`,
    region: 'local',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  });
  await untilReady(port, child);
  return {
    client,
    stop: async () => {
      client.destroy();
      const ended = new Promise((resolve) => child.once('exit', resolve));
      end();
      await ended;
      process.off('exit', end);
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

async function untilReady(port: number, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (child.exitCode !== null) throw new Error(`dynoxide ended with ${child.exitCode}`);
    try {
      await fetch(`http://127.0.0.1:${port}/`);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  throw new Error('dynoxide did not answer');
}

export const ADMIN_TOKEN = 'the-admin-token-of-tenant-a';
export const OTHER_TOKEN = 'the-admin-token-of-tenant-b';

export interface HttpWorld {
  readonly app: Hono;
  readonly tableName: string;
  readonly ports: Ports;
  readonly now: { ms: number };
  readonly clocks: ClockSpec[];
  readonly executions: { readonly name: string; readonly input: ExecutionInput }[];
  readonly launches: LaunchSpec[];
  readonly chunks: Map<string, readonly LogRecord[]>;
  readonly logged: {
    readonly level: string;
    readonly event: string;
    readonly facts: Readonly<Record<string, unknown>>;
  }[];
  /** Sends a request as tenant A's administrator, unless `token` says otherwise (`null`: without a credential). */
  readonly send: (method: string, path: string, options?: SendOptions) => Promise<Answer>;
}

export interface SendOptions {
  readonly token?: string | null;
  readonly body?: unknown;
  /** Sent as it is, instead of `body`. */
  readonly rawBody?: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
  readonly body: any;
}

let tables = 0;

/** A world of its own: a table, two tenants, a wall clock that stands still until a test moves it. */
export async function createHttpWorld(
  engine: Engine,
  options: {
    readonly wrapStore?: (store: Store) => Store;
    readonly requestId?: () => string;
    readonly features?: Features;
    readonly ids?: Ports['ids'];
    readonly tokens?: Ports['tokens'];
    readonly config?: object;
    readonly rates?: (ports: Ports) => Rates;
  } = {},
): Promise<HttpWorld> {
  const tableName = `http${++tables}`;
  await ensureTable(engine.client, tableName);
  const real = new DynamoStore(engine.client, tableName);
  const now = { ms: Date.parse('2027-01-01T00:00:00Z') };
  const fakes = createFakes(now, CoreConfig.parse(options.config ?? {}));
  const ports: Ports = {
    ...fakes.ports,
    ...(options.ids !== undefined && { ids: options.ids }),
    ...(options.tokens !== undefined && { tokens: options.tokens }),
    store: options.wrapStore?.(real) ?? real,
  };
  // A schedule fires for its creator: without a principal behind the id, every occurrence would be unauthorized.
  await ensurePrincipal(real, 'tenant_a', 'usr_a', 'Administrator of A');
  await ensurePrincipal(real, 'tenant_b', 'usr_b', 'Administrator of B');
  const first = composeAuthenticate({
    ports,
    adminToken: ADMIN_TOKEN,
    admin: { tenantId: 'tenant_a', principalId: 'usr_a' },
  });
  const second = composeAuthenticate({
    ports,
    adminToken: OTHER_TOKEN,
    admin: { tenantId: 'tenant_b', principalId: 'usr_b' },
  });
  const app = heldToDocument(
    createApp({
      ports,
      authenticate: async (bearer) => (await first(bearer)) ?? (await second(bearer)),
      // A test's clock stands still: it would be refused for what it sends in many seconds.
      rates: options.rates?.(ports) ?? { take: async () => undefined },
      ...(options.requestId !== undefined && { requestId: options.requestId }),
      ...(options.features !== undefined && { features: options.features }),
    }),
  );
  return { app, tableName, ports, now, ...fakes.records, send: (method, path, sent) => send(app, method, path, sent) };
}

function createFakes(now: { ms: number }, config: CoreConfig) {
  const clocks: ClockSpec[] = [];
  const executions: { readonly name: string; readonly input: ExecutionInput }[] = [];
  const launches: LaunchSpec[] = [];
  const chunks = new Map<string, readonly LogRecord[]>();
  const logged: { level: string; event: string; facts: Readonly<Record<string, unknown>> }[] = [];
  const note =
    (level: string) =>
    (event: string, facts: Readonly<Record<string, unknown>> = {}) => {
      logged.push({ level, event, facts });
    };
  const ports: Omit<Ports, 'store'> = {
    clock: {
      put: async (spec) => void clocks.push(spec),
      delete: async () => {},
      look: async () => ({ kind: 'follows', detail: 'a fake' }),
      list: async () => ({ items: [] }),
    },
    metrics: { put: () => {} },
    workflow: {
      start: async (name, input) => {
        executions.push({ name, input });
        return 'started';
      },
      stop: async () => {},
      describe: async () => ({ status: 'running', detail: 'a fake' }),
      signal: async () => 'gone',
    },
    fleet: {
      plan: async () => ({ pools: [] }),
      launch: async (spec) => {
        launches.push(spec);
        return { instanceId: `i-${spec.vmId}` };
      },
      observe: async () => ({ status: 'running', detail: 'a fake' }),
      terminate: async () => {},
      list: async () => ({ items: [] }),
      terminateInstance: async () => {},
    },
    logs: fakeLogs(chunks),
    ids: {
      next: (prefix, nowMs) => timeOrderedId(prefix, nowMs, randomBytes(10)),
      writer: () => randomBytes(12).toString('base64url'),
      secret: () => randomBytes(32).toString('base64url'),
    },
    time: { now: () => now.ms, sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)) },
    artifacts: { put: async () => ({ kind: 'stored' }), get: async () => undefined },
    secrets: { read: async () => undefined },
    tokens: fakeTokens(),
    seals: sealsWith(async () => Buffer.alloc(32, 'a key of the tests')),
    webhooks: {
      refusal: (url) => urlRefusal(url, { allowPrivate: false }),
      send: async () => ({ kind: 'failed', detail: 'the tests send nothing', tookMs: 0 }),
    },
    log: { info: note('info'), warn: note('warn'), error: note('error') },
    config,
  };
  return { ports, records: { clocks, executions, launches, chunks, logged } };
}

export const chunkName = ({ tenantId, runId, attempt }: LogAddress, chunk: number): string =>
  `${tenantId}/${runId}/${attempt}/${chunk}`;

function fakeLogs(chunks: Map<string, readonly LogRecord[]>): Ports['logs'] {
  return {
    putChunk: async (address, chunk, records) => {
      const name = chunkName(address, chunk);
      const stored = chunks.get(name);
      if (stored !== undefined && !isDeepStrictEqual(stored, records)) throw new ChunkConflict(chunk);
      chunks.set(name, records);
    },
    read: async (address, from, maxChunks, maxBytes = Number.POSITIVE_INFINITY) => {
      const records: LogRecord[] = [];
      let next = from;
      let bytes = 0;
      for (; next < from + maxChunks; next++) {
        const found = chunks.get(chunkName(address, next));
        if (found === undefined) break;
        bytes += JSON.stringify(found).length;
        if (next > from && bytes > maxBytes) break;
        records.push(...found);
      }
      return { records, next };
    },
  };
}

/** Tokens that say what they are: good enough where forging is not what is tested. */
function fakeTokens(): Ports['tokens'] {
  return {
    sign: async (claims, expiresAt) => Buffer.from(JSON.stringify({ claims, expiresAt })).toString('base64url'),
    verify: async (token, now) => {
      try {
        const { claims, expiresAt } = JSON.parse(Buffer.from(token, 'base64url').toString('utf8')) as {
          claims: TokenClaims;
          expiresAt: number;
        };
        return now < expiresAt ? claims : undefined;
      } catch {
        return undefined;
      }
    },
  };
}

async function send(app: Hono, method: string, path: string, options: SendOptions = {}): Promise<Answer> {
  const { token = ADMIN_TOKEN, body, rawBody, headers = {} } = options;
  const payload = rawBody ?? (body === undefined ? undefined : JSON.stringify(body));
  const response = await app.request(path, {
    method,
    headers: {
      ...(token !== null && { authorization: `Bearer ${token}` }),
      ...(payload !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(payload !== undefined && { body: payload }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: parsed(text) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

let names = 0;

/** An agent that can be made again and again. */
export async function makeAgent(world: HttpWorld, fields: object = {}, token = ADMIN_TOKEN): Promise<Answer['body']> {
  const answer = await world.send('POST', '/v1/agents', {
    token,
    body: { name: `agent ${++names}`, command: ['/bin/true'], ...fields },
  });
  if (answer.status !== 201) throw new Error(`no agent was made: ${answer.text}`);
  return answer.body;
}

export async function makeSchedule(
  world: HttpWorld,
  agentId: string,
  fields: object = {},
  token = ADMIN_TOKEN,
): Promise<Answer['body']> {
  const answer = await world.send('POST', `/v1/agents/${agentId}/schedules`, {
    token,
    body: { name: `schedule ${++names}`, cadence: { every: '15m' }, ...fields },
  });
  if (answer.status !== 201) throw new Error(`no schedule was made: ${answer.text}`);
  return answer.body;
}
