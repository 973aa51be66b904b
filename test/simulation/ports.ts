/** The core's ports as one incarnation sees them: each call is a request to a simulated service, and may go wrong. */
import type { EC2Client } from '@aws-sdk/client-ec2';
import { Ec2Fleet } from '../../adapters/aws/fleet.ts';
import { Contended, StoreUnavailable } from '../../core/errors.ts';
import {
  type ClockSpec,
  ClockUnavailable,
  type ExecutionInput,
  type Log,
  type Ports,
  type ScheduleClock,
  type Store,
  type Workflow,
} from '../../core/ports.ts';
import type { IndexRange, Key, Range, Write } from '../../core/table/model.ts';
import { depositPorts } from './deposits.ts';
import { type EC2Request, requestName } from './ec2.ts';
import { READ_FAULTS, TABLE_WRITE_FAULTS, WRITE_FAULTS } from './faults.ts';
import type { Failures, Incarnation } from './incarnations.ts';
import { refusalOf } from './webhooks.ts';

/** A service other than the table: what the SDK throws, by its name. */
export class ServiceError extends Error {
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode: number };

  constructor(name: string, message: string, httpStatusCode?: number) {
    super(message);
    this.name = name;
    if (httpStatusCode !== undefined) this.$metadata = { httpStatusCode };
  }
}

const TABLE: Failures = {
  unavailable: (why) => new StoreUnavailable(why),
  throttled: () => new StoreUnavailable('throttled'),
  contended: () => new Contended('another transaction'),
};
const CLOCK: Failures = {
  unavailable: (why) => new ClockUnavailable(why),
  throttled: () => new ClockUnavailable('ThrottlingException'),
};
const SERVICE: Failures = {
  unavailable: (why) => new ServiceError('TimeoutError', why),
  throttled: () => new ServiceError('RequestLimitExceeded', 'Request limit exceeded.', 503),
};

/** `SCH META`, `RUN EVT`: which family of items, without whose. */
export function familyOf({ pk, sk }: Key): string {
  const owner = pk.indexOf('#');
  const rest = sk.indexOf('#');
  return `${owner < 0 ? pk : pk.slice(0, owner)} ${rest < 0 ? sk : sk.slice(0, rest)}`;
}

/** By the names of its guards; where it has none, by what it writes. */
export function writeName(writes: readonly Write[]): string {
  const names = new Set<string>();
  for (const write of writes)
    for (const guard of write.guards ?? [])
      if (guard.name !== 'event.appendedOnce' && guard.name !== 'run.unchanged') names.add(guard.name);
  if (names.size === 0)
    for (const write of writes)
      if (write.kind !== 'check') names.add(familyOf(write.kind === 'put' ? write.item : write.key));
  return [...names].sort().join('+');
}

export function portsOf(inc: Incarnation): Ports {
  const { world } = inc;
  const store = storeOf(inc);
  const time = { now: () => inc.clock, sleep: (ms: number) => inc.sleep(ms) };
  const log = logOf(inc);
  const metrics = { put: () => undefined };
  const client = {
    send: (command: EC2Request) =>
      inc.call(
        world.site(
          inc,
          `ec2.${requestName(command)}`,
          requestName(command) === 'Describe' ? READ_FAULTS : WRITE_FAULTS,
        ),
        SERVICE,
        () => world.ec2.handle(inc.kind, command),
      ),
  } as unknown as EC2Client;
  let fleet: Ec2Fleet | undefined;
  return {
    store,
    time,
    log,
    metrics,
    config: world.config,
    clock: clockOf(inc),
    workflow: workflowOf(inc),
    // Most functions have nothing to do with machines.
    get fleet() {
      fleet ??= new Ec2Fleet({ client, store, time, log, metrics, ...world.ec2.installation });
      return fleet;
    },
    ids: {
      next: (prefix, nowMs) => world.ids.next(prefix, nowMs),
      writer: () => `${inc.kind}-${inc.number}-${world.random.bits().toString(36)}`,
      secret: () => Buffer.from(world.random.bytes(32)).toString('base64url'),
    },
    tokens: {
      sign: async (claims, expiresAt) => world.tokens.sign(claims, expiresAt),
      verify: async (token, now) => world.tokens.verify(token, now),
    },
    ...depositPorts(inc),
    secrets: { read: async () => 'secret' },
    seals: { seal: async (text) => text, open: async (sealed) => sealed },
    webhooks: { refusal: refusalOf, send: (request) => world.webhooks.request(inc, request) },
  };
}

function storeOf(inc: Incarnation): Store {
  const { world } = inc;
  const { table } = world;
  const read = (name: string) => world.site(inc, name, READ_FAULTS);
  return {
    get: (key: Key) => inc.call(read(`store.get ${familyOf(key)}`), TABLE, () => table.get(key)),
    getMany: (keys: readonly Key[]) => {
      const [first] = keys;
      if (first === undefined) return Promise.resolve([]);
      return inc.call(read(`store.getMany ${familyOf(first)}`), TABLE, () => keys.map((key) => table.get(key)));
    },
    query: (range: Range) =>
      inc.call(read(`store.query ${familyOf({ pk: range.pk, sk: range.prefix ?? range.from ?? '' })}`), TABLE, () =>
        table.query(range),
      ),
    queryIndex: (range: IndexRange) =>
      inc.call(read(`store.queryIndex ${range.index} ${range.partition.split('#')[0]}`), TABLE, () =>
        table.queryIndex(range),
      ),
    transact: (writes: readonly Write[]) => {
      const site = world.site(inc, `store.transact ${writeName(writes)}`, TABLE_WRITE_FAULTS);
      const once = () => world.commit(inc, writes);
      const heldUpMs = world.rivals?.ambush(inc, writes) ?? 0;
      if (heldUpMs > 0)
        return inc.sleep(heldUpMs).then(() => inc.call(site, TABLE, once, writes.length > 1 ? () => undefined : once));
      // A transaction carries a token of the SDK's, a single write does not.
      return inc.call(site, TABLE, once, writes.length > 1 ? () => undefined : once);
    },
  };
}

function clockOf(inc: Incarnation): ScheduleClock {
  const { world } = inc;
  const { clock } = world;
  const call = <T>(name: string, isRead: boolean, apply: () => T) =>
    inc.call(world.site(inc, `clock.${name}`, isRead ? READ_FAULTS : WRITE_FAULTS), CLOCK, apply);
  return {
    put: (spec: ClockSpec) => call('put', false, () => clock.put(spec)),
    delete: (scheduleId) => call('delete', false, () => clock.delete(scheduleId)),
    look: (spec) => call('look', true, () => clock.look(spec)),
    list: () => call('list', true, () => clock.list()),
  };
}

function workflowOf(inc: Incarnation): Workflow {
  const { world } = inc;
  const { workflow } = world;
  const call = <T>(name: string, isRead: boolean, apply: () => T) =>
    inc.call(world.site(inc, `workflow.${name}`, isRead ? READ_FAULTS : WRITE_FAULTS), SERVICE, apply);
  return {
    start: (name: string, input: ExecutionInput) => call('start', false, () => workflow.start(name, input)),
    stop: (name, cause) => call('stop', false, () => workflow.stop(name, cause)),
    describe: (name) => call('describe', true, () => workflow.describe(name)),
    signal: (token, output) => call('signal', false, () => workflow.signal(token, output)),
  };
}

const DEFECTS = /TypeError|RangeError|ReferenceError|is not a function|Cannot read|twice|a transaction of/;

/** What the core only logs may still be a defect of ours. */
function logOf(inc: Incarnation): Log {
  const look = (event: string, facts: Readonly<Record<string, unknown>> = {}) => {
    const text = String(facts.error ?? '');
    if (DEFECTS.test(text)) inc.world.broken('defect', `${inc.kind} logged ${event}: ${text}`);
    inc.world.note(`${inc.kind}-${inc.number} log ${event}`, facts);
  };
  return {
    info: (event, facts) => inc.world.note(`${inc.kind}-${inc.number} log ${event}`, facts),
    warn: look,
    error: look,
  };
}
