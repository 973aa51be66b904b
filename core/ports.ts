/**
 * What the core needs from the world. Each port has one contract suite in `test/contracts/` that every implementation
 * passes; `adapters/aws` and `adapters/local` implement them, one file per port.
 */
import type { CoreConfig } from './config.ts';
import type { Market, Needs } from './contract/agentParts.ts';
import type { Artifact } from './contract/runner.ts';
import type { TriedBody } from './contract/runs.ts';
import type { Metrics } from './metrics.ts';
import type { IndexEntry, IndexRange, Item, Key, Page, Range, Write } from './table/model.ts';

/** The table. Reads by key and by range are strongly consistent; index reads are not. */
export interface Store {
  get(key: Key): Promise<Item | undefined>;
  /** Consistent read of many items in as few calls as possible; the answers stand in the order of the keys. */
  getMany(keys: readonly Key[]): Promise<readonly (Item | undefined)[]>;
  query(range: Range): Promise<Page<Item>>;
  queryIndex(range: IndexRange): Promise<Page<IndexEntry>>;
  /**
   * All writes or none (at most 100). A single write is sent as a plain conditional write.
   * @throws GuardFailed with the first guard that did not hold and the item as it stood
   * @throws Contended when another transaction was at the same items
   * @throws StoreUnavailable when the outcome is not known
   */
  transact(writes: readonly Write[]): Promise<void>;
}

/** What a schedule's clock must be set to. The whole of it is sent each time: AWS resets what is left out. */
export interface ClockSpec {
  readonly tenantId: string;
  readonly scheduleId: string;
  readonly agentId: string;
  readonly principalId: string;
  readonly specVersion: number;
  readonly cadence:
    | { readonly cron: string; readonly timezone: string }
    | { readonly everySeconds: number }
    | { readonly at: number };
  /** Epoch milliseconds of the next expected occurrence: the clock's StartDate. */
  readonly startAt: number;
  readonly endAt?: number;
  /** The clock may fire this long after the nominal time, as it likes. */
  readonly flexibleWindowSeconds?: number;
}

/** The clock will never take this spec: permanent, unlike a call that failed. The message is what the clock said. */
export class ClockRejected extends Error {
  constructor(detail: string, cause?: unknown) {
    super(detail, cause === undefined ? undefined : { cause });
    this.name = 'ClockRejected';
  }
}

/** The clock could not be told: it throttles, does not answer, or Candor may not reach it. The same call may succeed later. */
export class ClockUnavailable extends Error {
  constructor(detail: string, cause?: unknown) {
    super(detail, cause === undefined ? undefined : { cause });
    this.name = 'ClockUnavailable';
  }
}

/** The thing that calls `fire` at the right time, at least once (EventBridge Scheduler, or one timer locally). */
export interface ScheduleClock {
  /** @throws ClockRejected where the spec itself is at fault, ClockUnavailable where it is not known to have been taken */
  put(spec: ClockSpec): Promise<void>;
  /**
   * Deleting a clock that does not exist is success.
   * @throws ClockUnavailable where it may still be there
   */
  delete(scheduleId: string): Promise<void>;
  /**
   * Whether the clock, as it stands, fires what this spec says. Changes nothing.
   * @throws ClockUnavailable where it could not be read: nothing follows from that
   */
  look(spec: ClockSpec): Promise<ClockLook>;
  /**
   * The ids of the schedules that have a clock, page by page; none where the clock is the table itself.
   * @throws ClockUnavailable
   */
  list(after?: string): Promise<Page<string>>;
}

export interface ClockLook {
  readonly kind: 'follows' | 'absent' | 'differs';
  /** What was seen, in words that can stand as evidence. */
  readonly detail: string;
}

export interface ExecutionInput {
  readonly tenantId: string;
  readonly runId: string;
  readonly attempt: number;
}

/** What is known of an execution. `unknown`: nothing of that name is known, which may only mean that it is very new or very old. */
export interface ExecutionLook {
  readonly status: 'running' | 'succeeded' | 'failed' | 'timed_out' | 'aborted' | 'unknown';
  /** The name of the error that it failed with, where it says so. */
  readonly error?: string;
  /** What it said of its end, or where it stands. */
  readonly detail: string;
}

/** The `provision-vm` state machine: Step Functions, or the same file in an interpreter. */
export interface Workflow {
  /**
   * Starts an execution under a deterministic name, once. A name that has run already is `exists`; one that is open with the
   * same input may be `started` too, as Step Functions has it.
   */
  start(name: string, input: ExecutionInput): Promise<'started' | 'exists'>;
  /** Ends an execution from outside; unknown or ended is success. Stops nothing that is in flight. */
  stop(name: string, cause: string): Promise<void>;
  /** What is known of it now; it may lag behind. A request that fails throws. */
  describe(name: string): Promise<ExecutionLook>;
  /** Signals `AwaitReady`. `gone` when nobody waits with this token any more: the caller reads the run and decides. */
  signal(taskToken: string, output: Readonly<Record<string, string | number>>): Promise<'signalled' | 'gone'>;
}

/** A kind of machine at a place, as it is asked for. */
export interface LaunchPool {
  readonly type: string;
  readonly availabilityZone: string;
  readonly subnetId: string;
  readonly template: { readonly id: string; readonly version: string };
  readonly imageId?: string;
  /** The size of its root volume, where the agent asks for one. */
  readonly disk?: { readonly device: string; readonly sizeGiB: number };
}

/** What a VM must have, and the agent's own image, if it has one. */
export type LaunchNeeds = Needs & { readonly image?: string };

/**
 * What one launch request asks for. It is kept with its intent until an answer has come, because a request that is sent
 * again under its token must be the very same one.
 */
export interface LaunchPlan {
  /** Absent where the fleet knows no markets. */
  readonly market?: Market;
  /** In the order in which they are wanted. */
  readonly pools: readonly LaunchPool[];
  /** What would suit too, and had no room a moment ago. */
  readonly leftOut?: readonly TriedBody[];
}

/** What a VM is launched from. The client token names the intent: the same token never launches twice. */
export interface LaunchSpec {
  readonly tenantId: string;
  readonly vmId: string;
  readonly agentId: string;
  readonly runId: string;
  readonly attempt: number;
  readonly clientToken: string;
  /** How many requests there have been for this VM, this one included. */
  readonly number: number;
  readonly plan: LaunchPlan;
  /** The key that proves which VM a runner is on. Only a fleet whose machines have no identity of their own asks for it. */
  readonly registrationKey: () => Promise<string>;
}

export interface Launched {
  readonly instanceId: string;
  /** Where it is, where there is more than one place. */
  readonly pool?: { readonly type: string; readonly availabilityZone: string; readonly market: Market };
}

export type InstanceStatus = 'pending' | 'running' | 'terminated' | 'unknown';

export interface InstanceObservation {
  readonly status: InstanceStatus;
  /** Who saw it and what was seen, in words that can stand on a run as evidence. */
  readonly detail: string;
}

/** Machines: EC2, or process trees. */
export interface Fleet {
  /**
   * What to ask for now, for a VM that meets these needs. Called before the intent is written, so it asks nobody for an
   * instance; but it counts against our own launch rate.
   * @throws CapacityUnavailable where every pool is known to have no room, LaunchPaced, LaunchMisconfigured where none fits
   */
  plan(needs: LaunchNeeds): Promise<LaunchPlan>;
  /** @throws LaunchFailed with an error class of design.md §5.3 */
  launch(spec: LaunchSpec): Promise<Launched>;
  /**
   * What is known of the VM's instances now. A request that fails throws; it never answers `terminated`.
   * @param launchedAt when it was asked for: what is not found so soon after may not have appeared yet
   */
  observe(vmId: string, instanceId: string | undefined, launchedAt?: number): Promise<InstanceObservation>;
  /** Asks for the end of the VM's instances. Success proves nothing; only {@link Fleet.observe} does. */
  terminate(vmId: string, instanceId: string | undefined): Promise<void>;
  /** All instances of this installation that are not seen to be gone, page by page. */
  list(after?: string): Promise<Page<ListedInstance>>;
  /** Asks for the end of this one instance, whatever others its VM may have. */
  terminateInstance(instance: Pick<ListedInstance, 'vmId' | 'instanceId'>): Promise<void>;
}

/** An instance that carries this installation's mark. */
export interface ListedInstance {
  readonly instanceId: string;
  /** Whose it says it is. */
  readonly vmId: string;
  readonly tenantId: string;
  readonly status: InstanceStatus;
  readonly detail: string;
}

/** One piece of captured output. `atMs` counts from the start of the process on a monotonic clock. */
export interface LogRecord {
  readonly atMs: number;
  readonly stream: 'stdout' | 'stderr' | 'candor';
  /** UTF-8 text, or base64 of bytes that are not UTF-8. */
  readonly text?: string;
  readonly base64?: string;
}

export interface LogAddress {
  readonly tenantId: string;
  readonly runId: string;
  readonly attempt: number;
}

/** Captured output, in numbered chunks. A chunk never changes: writing it again with the same content is success. */
export interface LogStore {
  /** @throws ChunkConflict where it is there with another content, which stays */
  putChunk(address: LogAddress, chunk: number, records: readonly LogRecord[]): Promise<void>;
  /**
   * Records from chunk number `from` on; `next` is the number to go on from. It stops before a chunk with which they
   * would have more than `maxBytes` as stored, but not before the first one.
   */
  read(
    address: LogAddress,
    from: number,
    maxChunks: number,
    maxBytes?: number,
  ): Promise<{ readonly records: readonly LogRecord[]; readonly next: number }>;
}

/** Where a run's artifacts are. Writing one again replaces it with the same content. */
export interface ArtifactStore {
  /**
   * Takes the bytes, or says where they are to be put instead. Without a body it only says where they are wanted: `here`,
   * or elsewhere.
   * @throws CandorError `invalid_request` where they are not the bytes that were announced
   */
  put(
    address: LogAddress,
    artifact: Artifact,
    body: ReadableStream<Uint8Array> | undefined,
  ): Promise<{ readonly kind: 'stored' | 'here' } | { readonly kind: 'elsewhere'; readonly url: string }>;
  /** The bytes, or where they are; undefined where there are none. */
  get(
    address: LogAddress,
    artifact: Artifact,
  ): Promise<
    | { readonly kind: 'bytes'; readonly body: ReadableStream<Uint8Array> }
    | { readonly kind: 'elsewhere'; readonly url: string }
    | undefined
  >;
}

/** Secrets by reference. */
export interface Secrets {
  /** Undefined where there is none of that id, or Candor may not read it. */
  read(tenantId: string, id: string): Promise<string | undefined>;
}

/** Keeps short texts in a form that says nothing without the installation's key. */
export interface Seals {
  /** @param context what it belongs to; it opens for nothing else */
  seal(text: string, context: string): Promise<string>;
  /** @throws Error where it is not what was sealed for this context, or its key is gone */
  open(sealed: string, context: string): Promise<string>;
}

export interface WebhookRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly timeoutMs: number;
}

export type WebhookAnswer =
  /** Somebody answered, whatever the status. */
  | { readonly kind: 'answered'; readonly status: number; readonly retryAfterSeconds?: number; readonly tookMs: number }
  /** Nothing was sent, because of where it would have gone. */
  | { readonly kind: 'not_allowed'; readonly detail: string }
  | { readonly kind: 'failed' | 'timed_out'; readonly detail: string; readonly tookMs: number };

/** Sends to addresses that others chose. It never throws for what is at the other end. */
export interface WebhookSender {
  /** Why nothing would ever be sent there, as far as the URL itself says; undefined where it may be tried. */
  refusal(url: string): string | undefined;
  send(request: WebhookRequest): Promise<WebhookAnswer>;
}

/** Randomness. `next` is prefix + a time-ordered id; `writer` marks one try of one write; `secret` is unguessable. */
export interface Ids {
  next(prefix: string, nowMs: number): string;
  writer(): string;
  secret(): string;
}

/** Wall clock, epoch milliseconds, and waiting. */
export interface Time {
  now(): number;
  sleep(milliseconds: number): Promise<void>;
}

/** How many requests a caller may send in a minute. */
export interface Rates {
  /** Counts one request. Answers after how many whole seconds the next one may be taken, where this one may not. */
  take(caller: string): Promise<number | undefined>;
}

/** Signs and checks the tokens of runners and runs. */
export interface Tokens {
  sign(claims: TokenClaims, expiresAt: number): Promise<string>;
  /** Answers undefined for anything that is not a valid, unexpired token of ours. */
  verify(token: string, now: number): Promise<TokenClaims | undefined>;
}

export type TokenClaims =
  /** The VM's key: with it a runner registers, and nothing else. */
  | { readonly kind: 'registration'; readonly tenantId: string; readonly vmId: string }
  | {
      readonly kind: 'vm';
      readonly tenantId: string;
      readonly vmId: string;
      readonly generation: number;
      /** Counts the tokens of a generation; absent in its first, and in all of before they were counted. */
      readonly number?: number;
    }
  | {
      readonly kind: 'run';
      readonly tenantId: string;
      readonly vmId: string;
      readonly runId: string;
      readonly attempt: number;
    };

/** Structured operating log; `event` is a stable word, facts never carry secrets. */
export interface Log {
  info(event: string, facts?: Readonly<Record<string, unknown>>): void;
  warn(event: string, facts?: Readonly<Record<string, unknown>>): void;
  error(event: string, facts?: Readonly<Record<string, unknown>>): void;
}

export interface Ports {
  readonly store: Store;
  readonly clock: ScheduleClock;
  readonly workflow: Workflow;
  readonly fleet: Fleet;
  readonly logs: LogStore;
  readonly artifacts: ArtifactStore;
  readonly secrets: Secrets;
  readonly ids: Ids;
  readonly time: Time;
  readonly tokens: Tokens;
  readonly seals: Seals;
  readonly webhooks: WebhookSender;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly config: CoreConfig;
}
