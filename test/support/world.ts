/** A core over a real engine, with the other ports as observable fakes and a clock that tests set. */
import { randomBytes } from 'node:crypto';
import { dynamoClient } from '../../adapters/aws/client.ts';
import { DynamoStore, type GuardFilter } from '../../adapters/aws/store.ts';
import { ensureTable } from '../../adapters/aws/table.ts';
import { type Engine, startEngine } from '../../adapters/local/engine.ts';
import { systemTime } from '../../adapters/system/time.ts';
import { urlRefusal } from '../../adapters/webhooks/addresses.ts';
import { ensurePrincipal, LOCAL_ADMIN, LOCAL_TENANT } from '../../core/access/principals.ts';
import { createAgent } from '../../core/agents/service.ts';
import { CoreConfig } from '../../core/config.ts';
import type { Needs } from '../../core/contract/agentParts.ts';
import { AgentCreate, type AgentCreateInput } from '../../core/contract/agents.ts';
import { ScheduleCreate, type ScheduleCreateInput } from '../../core/contract/schedules.ts';
import { timeOrderedId } from '../../core/ids.ts';
import type {
  ClockSpec,
  ExecutionInput,
  ExecutionLook,
  InstanceObservation,
  LaunchSpec,
  ListedInstance,
  Log,
  Ports,
  TokenClaims,
  WebhookAnswer,
  WebhookRequest,
} from '../../core/ports.ts';
import { createSchedule } from '../../core/schedules/service.ts';

export const silentLog: Log = { info: () => {}, warn: () => {}, error: () => {} };

export interface World {
  readonly ports: Ports;
  readonly tableName: string;
  readonly caller: { readonly tenantId: string; readonly principalId: string };
  /** Epoch milliseconds; tests move it. */
  now: number;
  readonly clocks: Map<string, ClockSpec>;
  readonly executions: { readonly name: string; readonly input: ExecutionInput }[];
  readonly stopped: string[];
  readonly signals: string[];
  /** What the fleet was asked to plan for. */
  readonly plans: Needs[];
  readonly launches: LaunchSpec[];
  readonly terminations: string[];
  /** What the fleet answers next about a VM; `running` where nothing is set. */
  readonly observations: Map<string, InstanceObservation>;
  /** What the fleet lists, by instance; whoever launches puts its own in by hand. */
  readonly instances: Map<string, ListedInstance>;
  /** What an execution is said to be; `running` where it was started and nothing is set. */
  readonly executionLooks: Map<string, ExecutionLook>;
  /** Every measurement, as it was put. */
  readonly measured: { readonly name: string; readonly value: number; readonly dimensions: object }[];
  /** What the agents' secrets are, by id. */
  readonly secrets: Map<string, string>;
  /** What was sent to webhooks, as it was sent. */
  readonly sent: WebhookRequest[];
  /** What webhooks' endpoints answer; 200 where nothing is set. */
  answer: (request: WebhookRequest) => WebhookAnswer | Promise<WebhookAnswer>;
  launchFault: Error | undefined;
  agent(overrides?: Partial<AgentCreateInput>): Promise<{ readonly id: string; readonly version: number }>;
  schedule(
    agentId: string,
    overrides?: Partial<ScheduleCreateInput>,
  ): Promise<Awaited<ReturnType<typeof createSchedule>>>;
}

export interface TestEngine extends Engine {
  world(config?: Partial<Record<string, unknown>>, filter?: GuardFilter): Promise<World>;
}

let tables = 0;

/** One in-memory engine for a test file; each world has a table of its own. */
export async function testEngine(): Promise<TestEngine> {
  const engine = await startEngine({ dbPath: undefined, log: silentLog });
  return {
    ...engine,
    world: async (config = {}, filter) => {
      const client = dynamoClient({ endpoint: engine.endpoint });
      const table = `candor-${process.pid}-${++tables}`;
      await ensureTable(client, table);
      return makeWorld(new DynamoStore(client, table, filter), table, CoreConfig.parse(config));
    },
  };
}

/** 2027-03-01T12:00:00Z, a Monday. */
export const MONDAY_NOON = Date.UTC(2027, 2, 1, 12, 0, 0);

async function makeWorld(store: DynamoStore, tableName: string, config: CoreConfig): Promise<World> {
  const caller = { tenantId: LOCAL_TENANT, principalId: LOCAL_ADMIN };
  const state: Omit<World, 'ports' | 'tableName' | 'agent' | 'schedule'> = {
    caller,
    now: MONDAY_NOON,
    clocks: new Map(),
    executions: [],
    stopped: [],
    signals: [],
    plans: [],
    launches: [],
    terminations: [],
    observations: new Map(),
    instances: new Map(),
    executionLooks: new Map(),
    measured: [],
    secrets: new Map(),
    sent: [],
    answer: () => ({ kind: 'answered', status: 200, tookMs: 1 }),
    launchFault: undefined,
  };
  const world = state as World;
  const ports = fakePorts(world, store, config);
  await ensurePrincipal(store, caller.tenantId, caller.principalId, 'Admin');
  let agents = 0;
  let schedules = 0;
  return Object.assign(world, {
    ports,
    tableName,
    agent: (overrides: Partial<AgentCreateInput> = {}) =>
      createAgent(ports, caller, AgentCreate.parse({ name: `agent ${++agents}`, command: ['true'], ...overrides })),
    schedule: (agentId: string, overrides: Partial<ScheduleCreateInput> = {}) =>
      createSchedule(
        ports,
        caller,
        agentId,
        ScheduleCreate.parse({
          name: `schedule ${++schedules}`,
          cadence: { cron: '*/5 * * * *', timezone: 'UTC' },
          input: { hello: 'world' },
          confirmFrequency: true,
          ...overrides,
        }),
      ),
  });
}

function fakePorts(world: World, store: DynamoStore, config: CoreConfig): Ports {
  const names = new Set<string>();
  return {
    store,
    config,
    log: silentLog,
    time: { now: () => world.now, sleep: systemTime.sleep },
    ids: {
      next: (prefix, nowMs) => timeOrderedId(prefix, nowMs, randomBytes(10)),
      writer: () => randomBytes(9).toString('base64url'),
      secret: () => randomBytes(32).toString('base64url'),
    },
    clock: {
      put: async (spec) => {
        world.clocks.set(spec.scheduleId, spec);
      },
      delete: async (scheduleId) => {
        world.clocks.delete(scheduleId);
      },
      look: async (spec) => {
        const stands = world.clocks.get(spec.scheduleId);
        if (stands === undefined) return { kind: 'absent', detail: 'the test knows no such clock' };
        const same = stands.specVersion === spec.specVersion && stands.startAt <= spec.startAt;
        return { kind: same ? 'follows' : 'differs', detail: `the test's clock is at spec ${stands.specVersion}` };
      },
      list: async () => ({ items: [...world.clocks.keys()] }),
    },
    workflow: {
      start: async (name, input) => {
        world.executions.push({ name, input });
        if (names.has(name)) return 'exists';
        names.add(name);
        return 'started';
      },
      stop: async (name) => {
        world.stopped.push(name);
      },
      describe: async (name) =>
        world.executionLooks.get(name) ??
        (names.has(name)
          ? { status: 'running', detail: 'the test says it is under way' }
          : { status: 'unknown', detail: 'the test knows no such execution' }),
      signal: async (token) => {
        world.signals.push(token);
        return 'signalled';
      },
    },
    fleet: {
      plan: async (needs) => {
        world.plans.push(needs);
        return { pools: [] };
      },
      launch: async (spec) => {
        world.launches.push(spec);
        if (world.launchFault !== undefined) throw world.launchFault;
        return { instanceId: `i-${spec.clientToken.slice(0, 12)}` };
      },
      observe: async (vmId) => world.observations.get(vmId) ?? { status: 'running', detail: 'the test says it runs' },
      terminate: async (vmId) => {
        world.terminations.push(vmId);
      },
      list: async () => ({ items: [...world.instances.values()] }),
      terminateInstance: async ({ instanceId }) => {
        world.terminations.push(instanceId);
      },
    },
    metrics: {
      put: (name, value, ...[dimensions = {}]) => {
        world.measured.push({ name, value, dimensions });
      },
    },
    logs: {
      putChunk: async () => {},
      read: async (_address, from) => ({ records: [], next: from }),
    },
    artifacts: {
      put: async () => ({ kind: 'stored' }),
      get: async () => undefined,
    },
    secrets: { read: async (_tenantId, id) => world.secrets.get(id) },
    // Not text as it is: what is kept must not be readable.
    seals: {
      seal: async (text, context) => Buffer.from(JSON.stringify([text, context])).toString('base64'),
      open: async (sealed, context) => {
        const [text, owner] = JSON.parse(Buffer.from(sealed, 'base64').toString()) as [string, string];
        if (owner !== context) throw new Error('it was sealed for something else');
        return text;
      },
    },
    webhooks: {
      refusal: (url) => urlRefusal(url, { allowPrivate: false }),
      send: async (request) => {
        world.sent.push(request);
        return world.answer(request);
      },
    },
    tokens: {
      sign: async (claims, expiresAt) => Buffer.from(JSON.stringify({ claims, expiresAt })).toString('base64url'),
      verify: async (token, now) => {
        const parsed = JSON.parse(Buffer.from(token, 'base64url').toString()) as {
          claims: TokenClaims;
          expiresAt: number;
        };
        return parsed.expiresAt > now ? parsed.claims : undefined;
      },
    },
  };
}
