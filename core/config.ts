/**
 * Every limit and interval of the core, validated as a whole (design.md §6). Programs pass overrides; nothing in the
 * core reads an environment.
 */
import * as z from 'zod/mini';

// By zod's small form: every Lambda checks its configuration, and the large one is a fifth of what `fire` loads.
const positive = (fallback: number) => z._default(z.number().check(z.positive()), fallback);
const seconds = positive;
const count = (fallback: number) => z._default(z.int().check(z.positive()), fallback);
const notNegative = (fallback: number) => z._default(z.number().check(z.nonnegative()), fallback);
const within = (least: number, most: number, fallback: number) =>
  z._default(z.int().check(z.gte(least), z.lte(most)), fallback);
const optionalCount = () => z.optional(z.int().check(z.positive()));

export const CoreConfig = z
  .strictObject({
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
    /** Without the runner's acknowledgement a cancel is sent again, then the VM is terminated. */
    cancelResendSeconds: seconds(60),
    cancelEscalateSeconds: seconds(120),
    /** A draining VM that still exists after this is terminated. */
    drainSeconds: seconds(30),
    runnerTokenSeconds: seconds(3600),
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
    /** The checks index is spread over this many partitions per kind. */
    checkShards: within(1, 64, 4),
    watchdogIntervalSeconds: seconds(60),
    watchdogBatch: count(100),
    /** One machine has no stream: events then carry a key in the checks index until they have been handled. */
    pollEvents: z._default(z.boolean(), false),
  })
  .check((context) => {
    const config = context.value;
    const fault = (path: keyof typeof config, message: string) =>
      context.issues.push({ code: 'custom', path: [path], message, input: config[path] });
    const order = [
      ['heartbeatActiveSeconds', 'heartbeatIdleSeconds'],
      ['heartbeatIdleSeconds', 'leaseSeconds'],
      ['leaseSeconds', 'unresponsiveSeconds'],
      ['unresponsiveSeconds', 'selfDestructSeconds'],
      ['clockPrecisionSeconds', 'overdueGraceSeconds'],
      ['cancelResendSeconds', 'cancelEscalateSeconds'],
    ] as const;
    for (const [smaller, larger] of order) {
      if (config[smaller] >= config[larger]) fault(smaller, `must be less than ${larger}`);
    }
    if (config.cancelInterruptSeconds + config.cancelTerminateSeconds >= config.cancelEscalateSeconds)
      fault('cancelEscalateSeconds', 'must be longer than cancelInterruptSeconds and cancelTerminateSeconds together');
    if (config.retentionDays * 86_400 <= config.runTimeoutSeconds)
      fault('retentionDays', 'must be longer than runTimeoutSeconds');
  });

export type CoreConfig = z.output<typeof CoreConfig>;
