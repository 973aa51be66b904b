/** The parts of one machine, composed: the same core and the same store as on AWS, with local adapters around them. */
import { dynamoClient } from '../../adapters/aws/client.ts';
import { DynamoStore } from '../../adapters/aws/store.ts';
import { ensureTable } from '../../adapters/aws/table.ts';
import type { Features } from '../../adapters/http/app.ts';
import { FileArtifactStore } from '../../adapters/local/artifactStore.ts';
import { LocalClock } from '../../adapters/local/clock.ts';
import { EventReader } from '../../adapters/local/events.ts';
import { LocalFleet } from '../../adapters/local/fleet.ts';
import { FileLogStore } from '../../adapters/local/logStore.ts';
import { LocalMetrics } from '../../adapters/local/metrics.ts';
import { withoutLaunches } from '../../adapters/local/noLaunches.ts';
import { FileSecrets } from '../../adapters/local/secrets.ts';
import { createTokens } from '../../adapters/local/tokens.ts';
import { LocalWorkflow, type TaskHandler } from '../../adapters/local/workflow.ts';
import { randomIds } from '../../adapters/system/ids.ts';
import { sealsWith } from '../../adapters/system/seals.ts';
import { systemTime } from '../../adapters/system/time.ts';
import { HttpWebhookSender } from '../../adapters/webhooks/sender.ts';
import { ensurePrincipal, LOCAL_ADMIN, LOCAL_TENANT } from '../../core/access/principals.ts';
import { auditSlice } from '../../core/audit/slice.ts';
import type { CoreConfig } from '../../core/config.ts';
import { appendToFeed } from '../../core/feed/append.ts';
import { handleEvent } from '../../core/notifications/fanOut.ts';
import type { ExecutionInput, Log, Ports, Store } from '../../core/ports.ts';
import { fire } from '../../core/schedules/fire.ts';
import { fireMany } from '../../core/schedules/fireMany.ts';
import { proofPublisher, publishProof, type SystemPart } from '../../core/system.ts';
import { sweepGarbage } from '../../core/table/garbage.ts';
import { DELIVERY_PREFIX } from '../../core/table/keys.ts';
import type { Write } from '../../core/table/model.ts';
import { afterFailedExecution } from '../../core/vms/executionEnd.ts';
import { takeLeftOutcomes } from '../../core/vms/leftOutcomes.ts';
import { awaitReady, dispatchRun, failRun, launchVm, releaseAttempt } from '../../core/vms/provision.ts';
import { observeVm } from '../../core/vms/release.ts';
import { Watchdog } from './watchdog.ts';
import { WebhookLoop } from './webhooks.ts';

export interface PartsOptions {
  readonly endpoint: string;
  readonly dataDir: string;
  /** The first one signs. */
  readonly signingKeys: readonly [string, ...string[]];
  readonly sealingKey: string;
  /** Webhooks may go to http, to this machine and to its network. */
  readonly allowPrivateWebhooks: boolean;
  readonly serverUrl: () => string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  readonly config: CoreConfig;
  readonly features: Features;
  /** `none`: no VM is ever launched, so no command of an agent ever runs. */
  readonly launches: 'here' | 'none';
}

export interface Parts {
  readonly ports: Ports;
  readonly clock: LocalClock;
  readonly events: EventReader;
  readonly workflow: LocalWorkflow;
  readonly fleet: LocalFleet;
  readonly watchdog: Watchdog;
  readonly webhooks: WebhookLoop;
  readonly logs: FileLogStore;
  readonly artifacts: FileArtifactStore;
  /** Where schedules are off it stands still, and the status page says so. */
  startClock(): Promise<void>;
  /** From here on, ended executions are our own doing and fail no run. */
  beginStop(): void;
}

const TABLE = 'candor';

export async function composeParts(options: PartsOptions): Promise<Parts> {
  const { log, config } = options;
  const owner = `candor dev, pid ${process.pid}`;
  const client = dynamoClient({ endpoint: options.endpoint });
  await ensureTable(client, TABLE);
  let stopping = false;
  const store = wakingStore(new DynamoStore(client, TABLE), {
    appended: () => parts.events.wake(),
    toSend: () => parts.webhooks.wake(),
  });
  await ensurePrincipal(store, LOCAL_TENANT, LOCAL_ADMIN, 'Local administrator');
  const logs = new FileLogStore({ dataDir: options.dataDir, time: systemTime });
  const artifacts = new FileArtifactStore({ dataDir: options.dataDir, time: systemTime });
  const background = (what: string, work: Promise<unknown>) =>
    void work.catch((error: unknown) => log.warn(`${what}.failed`, { error: String(error) }));
  const workflow = new LocalWorkflow({
    handlers: stateHandlers(() => ports),
    log,
    onEnd: (end) => {
      const { status } = end;
      if (!stopping && status !== 'succeeded')
        background('execution_end', afterFailedExecution(ports, { ...end, status }));
    },
  });
  const fleet = new LocalFleet({
    dataDir: options.dataDir,
    serverUrl: options.serverUrl,
    environment: options.environment,
    log,
    time: systemTime,
    onOutcomes: (vmId, left) => takeLeftOutcomes(ports, vmId, left),
    onExit: (vmId) => background('vm_exit', observeVm(ports, vmId)),
  });
  const publish = proofPublisher({ store, time: systemTime, log }, PROOF_INTERVAL_MS);
  const proof = (part: SystemPart, detail: Readonly<Record<string, number>>, promisedWithinSeconds?: number) =>
    publish(part, { owner, detail, ...(promisedWithinSeconds !== undefined && { promisedWithinSeconds }) });
  const clock = new LocalClock({
    store,
    time: systemTime,
    log,
    checkShards: config.checkShards,
    fire: (delivery) => fire(ports, delivery),
    fireMany: (rows) => fireMany(ports, rows),
    onTurn: (fired) => proof('clock', { fired }, CLOCK_PROMISE_SECONDS),
  });
  const ports: Ports = {
    store,
    clock,
    workflow,
    fleet: options.launches === 'none' ? withoutLaunches(fleet) : fleet,
    logs,
    artifacts,
    secrets: new FileSecrets({ dataDir: options.dataDir }),
    ids: randomIds,
    time: systemTime,
    tokens: createTokens(...options.signingKeys),
    seals: sealsWith(async () => Buffer.from(options.sealingKey, 'base64url')),
    webhooks: new HttpWebhookSender({ allowPrivate: options.allowPrivateWebhooks }),
    log,
    metrics: new LocalMetrics(),
    config,
  };
  const events = new EventReader({
    store,
    time: systemTime,
    log,
    checkShards: config.checkShards,
    append: (appended) => appendToFeed(ports, appended),
    handle: (event) => handleEvent(ports, event),
    onTurn: (handled) => proof('events', { handled }),
  });
  const { schedules } = options.features;
  const watched = schedules ? ports : { ...ports, store: withoutScheduleChecks(store) };
  const workflowPromise = 3 * config.watchdogIntervalSeconds + PROOF_INTERVAL_MS / 1000;
  const pace = { intervalMs: AUDIT_INTERVAL_MS, lookbackMs: 3 * AUDIT_INTERVAL_MS };
  const watchdog = new Watchdog(watched, owner, async () => {
    await proof('workflow', { running: workflow.running() }, workflowPromise);
    await sweepGarbage(ports);
    await auditSlice(watched, { owner, budgetMs: AUDIT_SLICE_MS, ...pace });
  });
  const parts: Parts = {
    ports,
    clock,
    events,
    workflow,
    fleet,
    watchdog,
    webhooks: new WebhookLoop(() => ports),
    logs,
    artifacts,
    startClock: async () => {
      if (schedules) clock.start();
      else await publishProof(ports, 'clock', { owner, detail: { schedules: 'off' } });
    },
    beginStop: () => {
      stopping = true;
    },
  };
  return parts;
}

/** A part publishes at most this often: proof of life, not a stream of writes. */
const PROOF_INTERVAL_MS = 5000;
/** A machine has little to be audited; what there is is gone through in small pieces, between two ticks. */
const AUDIT_INTERVAL_MS = 600_000;
const AUDIT_SLICE_MS = 200;
/** It looks every few seconds, whether or not anything is due. */
const CLOCK_PROMISE_SECONDS = 30;

/** The store, which tells the event reader when something was appended, and the sender of webhooks when something is due. */
function wakingStore(inner: Store, wake: { readonly appended: () => void; readonly toSend: () => void }): Store {
  return {
    get: (key) => inner.get(key),
    getMany: (keys) => inner.getMany(keys),
    query: (range) => inner.query(range),
    queryIndex: (range) => inner.queryIndex(range),
    transact: async (writes) => {
      await inner.transact(writes);
      if (writes.some((write) => write.kind === 'put' && write.item.sequence !== undefined)) wake.appended();
      if (writes.some(isDelivery)) wake.toSend();
    },
  };
}

/** A new one, or one that is to be sent again; what the sender itself writes of one is neither. */
const isDelivery = (write: Write): boolean =>
  (write.kind === 'put' && write.item.pk.startsWith(DELIVERY_PREFIX)) ||
  (write.kind === 'update' && write.key.pk.startsWith(DELIVERY_PREFIX) && write.set?.urgent === true);

/** For the watchdog where schedules are off: it would fire what is overdue, in the clock's place. */
function withoutScheduleChecks(store: Store): Store {
  return {
    ...store,
    queryIndex: async (range) =>
      range.index === 'checks' && range.partition.startsWith('SCH#') ? { items: [] } : store.queryIndex(range),
  };
}

/** The Task states' functions are called in process: the very use cases that the Lambdas call. */
function stateHandlers(ports: () => Ports): Record<string, TaskHandler> {
  type Input = ExecutionInput & { readonly vmId: string; readonly taskToken: string };
  return {
    LaunchVm: (input) => launchVm(ports(), input as Input),
    AwaitReady: (input) => awaitReady(ports(), input as Input),
    DispatchRun: (input) => dispatchRun(ports(), input as Input),
    ReleaseVm: (input) => releaseAttempt(ports(), input as Input),
    FailRun: (input) => failRun(ports(), input as Input),
  };
}
