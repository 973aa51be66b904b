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
import type { IndexEntry, IndexRange, Item, Key, Page, Range, Write } from '../../core/table/model.ts';
import { depositPorts } from './deposits.ts';
import { type EC2Request, requestName } from './ec2.ts';
import { READ_FAULTS, TABLE_WRITE_FAULTS, WRITE_FAULTS } from './faults.ts';
import type { HostClock } from './hostClock.ts';
import type { Failures, Incarnation } from './incarnations.ts';
import { secretPorts } from './secretStore.ts';
import { refusalOf } from './webhooks.ts';
import type { Simulation } from './world.ts';

/** A service other than the table: what the SDK throws, by its name. */
export class ServiceError extends Error {
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
function writeName(writes: readonly Write[]): string {
  const names = new Set<string>();
  for (const write of writes)
    for (const guard of write.guards ?? [])
      if (guard.name !== 'event.appendedOnce' && guard.name !== 'run.unchanged') names.add(guard.name);
  if (names.size === 0)
    for (const write of writes)
      if (write.kind !== 'check') names.add(familyOf(write.kind === 'put' ? write.item : write.key));
  return [...names].sort().join('+');
}

/**
 * A process of a function, as Lambda keeps it: it takes one call at a time, and what a module remembers stands until it ends.
 */
export interface Process {
  readonly world: Simulation;
  readonly clock: HostClock;
  /** Whose call it is. */
  current: Incarnation;
}

export function portsOf(own: Process): Ports {
  const { world } = own;
  const store = storeOf(own);
  const time = { now: () => own.clock.now(), sleep: (ms: number) => own.current.sleep(ms) };
  const log = logOf(own);
  const metrics = { put: () => undefined };
  const client = {
    send: (command: EC2Request) => {
      const inc = own.current;
      const name = requestName(command);
      const site = world.site(inc, `ec2.${name}`, name === 'Describe' ? READ_FAULTS : WRITE_FAULTS);
      return inc.call(site, SERVICE, () => world.trace.answered(command.input, world.ec2.handle(inc, command)));
    },
  } as unknown as EC2Client;
  let fleet: Ec2Fleet | undefined;
  return {
    store,
    time,
    log,
    metrics,
    config: world.config,
    clock: clockOf(own),
    workflow: workflowOf(own),
    // Most functions have nothing to do with machines.
    get fleet() {
      fleet ??= new Ec2Fleet({ client, store, time, log, metrics, ...world.ec2.installation });
      return fleet;
    },
    ids: {
      next: (prefix, nowMs) => world.ids.next(prefix, nowMs),
      writer: () => `${own.current.kind}-${own.current.number}-${world.random.bits().toString(36)}`,
      secret: () => Buffer.from(world.random.bytes(32)).toString('base64url'),
    },
    ...depositPorts(own),
    ...secretPorts(own),
    webhooks: { refusal: refusalOf, send: (request) => world.webhooks.request(own.current, request) },
  };
}

function storeOf(own: Process): Store {
  const { world } = own;
  const { table, trace } = world;
  const read = <T>(name: string, apply: () => T): Promise<T> =>
    own.current.call(world.site(own.current, name, READ_FAULTS), TABLE, apply);
  const shown = <T extends Page<Item | IndexEntry>>(page: T): T => {
    trace.read(page.items);
    world.checker.looks.read(own.current, page.items);
    return page;
  };
  const items = (keys: readonly Key[]) => {
    const found = keys.map((key) => table.get(key));
    trace.read(found);
    world.checker.looks.read(own.current, found);
    return found;
  };
  return {
    get: (key: Key) => read(`store.get ${familyOf(key)}`, () => items([key])[0]),
    getMany: (keys: readonly Key[]) => {
      const [first] = keys;
      if (first === undefined) return Promise.resolve([]);
      return read(`store.getMany ${familyOf(first)}`, () => items(keys));
    },
    query: (range: Range) =>
      read(`store.query ${familyOf({ pk: range.pk, sk: range.prefix ?? range.from ?? '' })}`, () =>
        shown(table.query(range)),
      ),
    queryIndex: (range: IndexRange) =>
      read(`store.queryIndex ${range.index} ${range.partition.split('#')[0]}`, () => shown(table.queryIndex(range))),
    transact: (writes: readonly Write[]) => {
      const inc = own.current;
      const site = world.site(inc, `store.transact ${writeName(writes)}`, TABLE_WRITE_FAULTS);
      const once = () => world.commit(inc, writes);
      // A transaction carries a token of the SDK's, a single write does not.
      const send = () => inc.call(site, TABLE, once, writes.length > 1 ? () => undefined : once);
      const heldUp = world.rivals?.ambush(inc, writes);
      if (heldUp === undefined) return send();
      inc.underWay++;
      return heldUp.then(() => {
        inc.underWay--;
        return send();
      });
    },
  };
}

function clockOf(own: Process): ScheduleClock {
  const { world } = own;
  const { clock, trace } = world;
  const call = <T>(name: string, isRead: boolean, request: unknown, apply: () => T) => {
    const site = world.site(own.current, `clock.${name}`, isRead ? READ_FAULTS : WRITE_FAULTS);
    return own.current.call(site, CLOCK, () => trace.answered(request, apply()));
  };
  return {
    put: (spec: ClockSpec) => call('put', false, spec, () => clock.put(spec)),
    delete: (scheduleId) => call('delete', false, scheduleId, () => clock.delete(scheduleId)),
    look: (spec) => call('look', true, spec, () => clock.look(spec)),
    list: () => call('list', true, undefined, () => clock.list()),
  };
}

function workflowOf(own: Process): Workflow {
  const { world } = own;
  const { workflow, trace } = world;
  const call = <T>(name: string, isRead: boolean, request: unknown, apply: () => T) => {
    const site = world.site(own.current, `workflow.${name}`, isRead ? READ_FAULTS : WRITE_FAULTS);
    return own.current.call(site, SERVICE, () => trace.answered(request, apply()));
  };
  return {
    start: (name: string, input: ExecutionInput) =>
      call('start', false, [name, input], () => workflow.start(name, input)),
    stop: (name, cause) => call('stop', false, [name, cause], () => workflow.stop(name, cause)),
    describe: (name) => call('describe', true, name, () => workflow.describe(name)),
    signal: (token, output) => call('signal', false, [token, output], () => workflow.signal(token, output)),
  };
}

const DEFECTS = /TypeError|RangeError|ReferenceError|is not a function|Cannot read|twice|a transaction of/;

/** What the core only logs may still be a defect of ours. */
function logOf(own: Process): Log {
  const { world } = own;
  const info = (event: string, facts: Readonly<Record<string, unknown>> = {}) => {
    world.checker.secrets.logged(own.current.kind, event, facts);
    if (world.trace.keeps) world.trace.line(`${own.current.kind}-${own.current.number} log ${event}`, facts);
  };
  const look = (event: string, facts: Readonly<Record<string, unknown>> = {}) => {
    const text = String(facts.error ?? '');
    if (DEFECTS.test(text)) world.broken('defect', `${own.current.kind} logged ${event}: ${text}`);
    info(event, facts);
  };
  return { info, warn: look, error: look };
}
