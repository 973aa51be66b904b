/**
 * Every limit and interval of the core, validated as a whole (design.md §6). Programs pass overrides; nothing in the
 * core reads an environment.
 *
 * Checked by hand, not by a schema: every Lambda reads it at its start, and `fire` may load little (design.md §10).
 */

interface Setting<Value> {
  readonly fallback: Value;
  /** What is wrong with a value, or undefined if nothing is. */
  readonly fault: (value: unknown) => string | undefined;
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const rule = <Value>(fallback: Value, holds: (value: unknown) => boolean, words: string): Setting<Value> => ({
  fallback,
  fault: (value) => (holds(value) ? undefined : words),
});

const positive = (fallback: number) =>
  rule(fallback, (value) => isNumber(value) && value > 0, 'must be a number greater than 0');
const seconds = positive;
const notNegative = (fallback: number) =>
  rule(fallback, (value) => isNumber(value) && value >= 0, 'must be a number, 0 or greater');
const isCount = (value: unknown) => Number.isSafeInteger(value) && Number(value) > 0;
const isWhole = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0;
const COUNT = 'must be a whole number greater than 0';
const count = (fallback: number) => rule(fallback, isCount, COUNT);
const optionalCount = () => rule<number | undefined>(undefined, isCount, COUNT);
const within = (least: number, most: number, fallback: number) =>
  rule(
    fallback,
    (value) => Number.isInteger(value) && Number(value) >= least && Number(value) <= most,
    `must be a whole number from ${least} to ${most}`,
  );
const flag = (fallback: boolean) =>
  rule<boolean>(fallback, (value) => typeof value === 'boolean', 'must be true or false');

const SETTINGS = {
  /** Allowed difference between any two clocks. */
  maxClockSkewSeconds: notNegative(5),
  /** The clock fires somewhere in this time after the nominal one (EventBridge Scheduler: within the minute). */
  clockPrecisionSeconds: seconds(60),
  /** An unsettled occurrence older than this is OVERDUE, and the watchdog's. */
  overdueGraceSeconds: seconds(120),
  /** An occurrence later than this is `missed`, unless the schedule says otherwise. */
  catchupWindowSeconds: seconds(3600),
  /** Commands wait at most this long for the runner while somebody waits, and otherwise. */
  heartbeatActiveSeconds: seconds(2),
  heartbeatIdleSeconds: seconds(15),
  /** Of a VM that is kept warm: a run that it takes is started at its next heartbeat. */
  heartbeatWarmSeconds: seconds(5),
  /** A VM is believed this long after a heartbeat. */
  leaseSeconds: seconds(45),
  /** A silent VM that the fleet calls running is terminated this long after its lease ran out. */
  unresponsiveSeconds: seconds(120),
  /** Where no VM at all is heard, it may be the API that is away: a silent one is then spared for so long after its lease. */
  silentFleetSeconds: notNegative(900),
  /** Without an answer for so long a VM ends its work and powers itself off (AWS; never on one machine). */
  selfDestructSeconds: seconds(900),
  /** From admission to the start of the process, unless the agent says otherwise. */
  startTimeoutSeconds: seconds(900),
  runTimeoutSeconds: seconds(24 * 3600),
  /** How often an infrastructure fault is tried again, unless the agent says otherwise: attempts, the first included. */
  retryMaxAttempts: within(1, 10, 3),
  /** Before the second attempt; it doubles with each further one. */
  retryBackoffSeconds: notNegative(10),
  retryBackoffMaxSeconds: seconds(3600),
  /** For an agent's setup commands together, and for a checkout. */
  setupTimeoutSeconds: seconds(600),
  /** Between SIGINT and SIGTERM, and between SIGTERM and SIGKILL. */
  cancelInterruptSeconds: seconds(10),
  cancelTerminateSeconds: seconds(10),
  /** A cancel that is not acknowledged is sent again; one that is not carried out ends the VM, unless other work on it is well. */
  cancelResendSeconds: seconds(60),
  cancelEscalateSeconds: seconds(120),
  /** A draining VM that still exists after this is terminated. */
  drainSeconds: seconds(30),
  /** A request that may be held back is held back no longer, whatever it asks for; API Gateway gives up after 30 s. */
  maxWaitSeconds: rule(20, (value) => isNumber(value) && value >= 0 && value <= 20, 'must be a number from 0 to 20'),
  runnerTokenSeconds: seconds(3600),
  /** A repeat of a request is told from a new one for so long, by its Idempotency-Key. */
  idempotencyKeySeconds: seconds(24 * 3600),
  /** No request is at work longer: API Gateway gives up after 30 s. */
  requestSecondsMax: seconds(30),
  /** Of one caller; 0: no limit. */
  maxRequestsPerMinute: rule(1200, isWhole, 'must be a whole number, 0 or greater'),
  /** A cadence that fires more often in a day is taken only with `confirmFrequency`. */
  confirmFiresPerDay: count(300),
  maxInputBytes: count(128 * 1024),
  maxMetadataBytes: count(8 * 1024),
  maxOutputBytes: count(256 * 1024),
  maxLogBytes: count(50 * 1024 * 1024),
  /** Of one attempt's log. A runner that always has something to send sends five in a second. */
  maxLogChunks: count(1_000_000),
  maxLiveRunsPerSchedule: count(100),
  /** How many runs of one tenant may be on their way or at work at once; absent: no limit, and no counter. */
  maxConcurrentRunsPerTenant: optionalCount(),
  /** EC2 refills an account's launches at about two a second; so many at once after a quiet while. */
  launchesPerSecond: positive(2),
  launchBurst: count(50),
  /** How many VMs of one tenant may exist at once. */
  maxConcurrentVmsPerTenant: optionalCount(),
  /** Of one run's artifacts together. */
  maxArtifactBytes: count(1024 * 1024 * 1024),
  maxChildrenPerRun: count(1000),
  /** Runs that start runs that start runs: so many generations. */
  maxRunDepth: count(8),
  retentionDays: count(90),
  /** How long the event feed can be resumed. */
  feedRetentionDays: count(7),
  maxWebhooksPerTenant: within(1, 100, 20),
  /** For one try of a delivery, from the look-up of the name to the end of the answer. */
  webhookTimeoutSeconds: within(1, 30, 15),
  /** An endpoint that has taken nothing for so long is switched off. */
  webhookDisableAfterSeconds: seconds(3 * 24 * 3600),
  /** How long deliveries can be read and sent again. */
  webhookRetentionDays: count(30),
  /** So many deliveries are sent side by side. */
  webhookLanes: within(1, 64, 16),
  /** The checks index is spread over this many partitions per kind. */
  checkShards: within(1, 64, 4),
  watchdogIntervalSeconds: seconds(60),
  /** How many items of one shard are read from the index at a time; a tick goes on to the next ones while it has time. */
  watchdogBatch: count(100),
  /** So many items of one kind are looked at side by side. */
  watchdogLanes: within(1, 32, 8),
  /** One machine's table deletes nothing by itself: what has expired then carries a key in the checks index until it is swept. */
  sweepsGarbage: flag(false),
  /** One machine has no stream: events then carry a key in the checks index until they have been handled. */
  pollEvents: flag(false),
} as const satisfies Readonly<Record<string, Setting<unknown>>>;

type Settings = typeof SETTINGS;
export type CoreConfig = {
  readonly [Name in keyof Settings]: Settings[Name] extends Setting<infer Value> ? Value : never;
};

interface ConfigIssue {
  readonly path: readonly string[];
  readonly message: string;
}

/** Every mistake in the overrides, each with the name of its setting. */
export class InvalidConfig extends Error {
  readonly issues: readonly ConfigIssue[];

  constructor(issues: readonly ConfigIssue[]) {
    super(issues.map(({ path, message }) => `${path.join('.') || 'it'} ${message}`).join('; '));
    this.name = 'InvalidConfig';
    this.issues = issues;
  }
}

/** Each is to be less than the other. */
const ORDER = [
  ['heartbeatActiveSeconds', 'heartbeatIdleSeconds'],
  ['heartbeatIdleSeconds', 'leaseSeconds'],
  ['leaseSeconds', 'unresponsiveSeconds'],
  ['unresponsiveSeconds', 'selfDestructSeconds'],
  ['clockPrecisionSeconds', 'overdueGraceSeconds'],
  ['cancelResendSeconds', 'cancelEscalateSeconds'],
  ['requestSecondsMax', 'idempotencyKeySeconds'],
] as const satisfies readonly (readonly [keyof Settings, keyof Settings])[];

function wholeIssues(config: CoreConfig): readonly ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  for (const [smaller, larger] of ORDER)
    if (config[smaller] >= config[larger]) issues.push({ path: [smaller], message: `must be less than ${larger}` });
  if (config.cancelInterruptSeconds + config.cancelTerminateSeconds >= config.cancelEscalateSeconds)
    issues.push({
      path: ['cancelEscalateSeconds'],
      message: 'must be longer than cancelInterruptSeconds and cancelTerminateSeconds together',
    });
  if (config.retentionDays * 86_400 <= config.runTimeoutSeconds)
    issues.push({ path: ['retentionDays'], message: 'must be longer than runTimeoutSeconds' });
  return issues;
}

type Parsed =
  | { readonly success: true; readonly data: CoreConfig }
  | { readonly success: false; readonly error: InvalidConfig };

function safeParse(overrides: unknown): Parsed {
  if (typeof overrides !== 'object' || overrides === null || Array.isArray(overrides))
    return { success: false, error: new InvalidConfig([{ path: [], message: 'must be a JSON object' }]) };
  const given = Object.entries(overrides).filter(([, value]) => value !== undefined);
  const settings: Readonly<Record<string, Setting<unknown>>> = SETTINGS;
  const issues = given.flatMap(([name, value]) => {
    const message = Object.hasOwn(settings, name) ? settings[name]?.fault(value) : 'is no setting';
    return message === undefined ? [] : [{ path: [name], message }];
  });
  if (issues.length > 0) return { success: false, error: new InvalidConfig(issues) };
  const fallbacks = Object.entries(settings).map(([name, { fallback }]) => [name, fallback] as const);
  const data = { ...Object.fromEntries(fallbacks), ...Object.fromEntries(given) } as CoreConfig;
  const whole = wholeIssues(data);
  return whole.length > 0 ? { success: false, error: new InvalidConfig(whole) } : { success: true, data };
}

export const CoreConfig = {
  safeParse,
  /** @throws InvalidConfig */
  parse: (overrides: unknown): CoreConfig => {
    const parsed = safeParse(overrides);
    if (!parsed.success) throw parsed.error;
    return parsed.data;
  },
} as const;
