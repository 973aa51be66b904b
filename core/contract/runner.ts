/** The runner's door (design.md §5.5): registration, heartbeat, log chunks. Times are durations of the VM's monotonic clock. */
import * as z from 'zod';
import { type Answered, JsonValue } from './common.ts';
import { TERMINATED_BY } from './runs.ts';

/** `POST /runner/v1/register`, with the VM's key as bearer. The same nonce again answers the same generation. */
export const RegisterRequest = z.strictObject({
  vmId: z.string(),
  nonce: z.string().min(16).max(128),
  runnerVersion: z.string().max(64),
});
export type RegisterRequest = z.infer<typeof RegisterRequest>;

export const RegisterResponse = z.strictObject({
  generation: z.int().min(1),
  token: z.string(),
  nextHeartbeatMs: z.number().min(0),
});
export type RegisterResponse = Answered<typeof RegisterResponse>;

export const ARTIFACTS_MAX = 100;

/** A file that a run has left. `path` is relative to CANDOR_ARTIFACTS, or else to its working folder. */
export const Artifact = z.strictObject({
  path: z.string().min(1).max(1024),
  bytes: z.int().min(0),
  sha256: z.string().length(64),
});
export type Artifact = z.infer<typeof Artifact>;

/**
 * Why a start that was asked for did not become a process: `refused` (taken back, or the machine could not), `setup` (the
 * agent's setup commands failed), `repository` (its checkout failed), `impossible` (the server said that it cannot be).
 */
export const NOT_STARTED_BECAUSE = ['refused', 'setup', 'repository', 'impossible'] as const;
export type NotStartedBecause = (typeof NOT_STARTED_BECAUSE)[number];

/**
 * One run on the VM as the runner knows it. An `ended` entry stays in the registry until the server has acknowledged
 * it in `acknowledged`. `not_started`: the command was accepted but no process exists and none ever did.
 * `gone`: the process and its shim have vanished without leaving an exit status.
 */
export const RegistryEntry = z.strictObject({
  runId: z.string(),
  attempt: z.int().min(1),
  state: z.enum(['starting', 'running', 'ending', 'ended', 'not_started', 'gone']),
  pid: z.int().optional(),
  startedAgoMs: z.number().min(0).optional(),
  endedAgoMs: z.number().min(0).optional(),
  exitCode: z.int().optional(),
  /** Name of the signal that ended the process, such as SIGKILL. */
  signal: z.string().max(16).optional(),
  terminatedBy: z.enum(TERMINATED_BY).optional(),
  /** Signals that the runner sent to end it, in order. */
  signalsSent: z.array(z.string().max(16)).max(16).optional(),
  /** The content of CANDOR_OUTPUT: JSON if it parses, else text. */
  output: JsonValue.optional(),
  outputTruncatedBytes: z.int().min(0).optional(),
  /** Number of log chunks that have been stored; with `ended` it is the final count. */
  logChunks: z.int().min(0).optional(),
  detail: z.string().max(2000).optional(),
  /** Of living work: time since it last put something out or used CPU time, as far as the runner has looked. */
  idleForMs: z.number().min(0).optional(),
  /** With `not_started`. */
  notStartedBecause: z.enum(NOT_STARTED_BECAUSE).optional(),
  /** What was found of its artifacts when it had ended, and is stored. */
  artifacts: z.array(Artifact).max(ARTIFACTS_MAX).optional(),
});
export type RegistryEntry = z.infer<typeof RegistryEntry>;

export const HeartbeatRequest = z.strictObject({
  vmId: z.string(),
  generation: z.int().min(1),
  seq: z.int().min(1),
  registry: z.array(RegistryEntry).max(100),
  /** Every command up to this number has been taken into the journal. */
  acks: z.int().min(0),
});
export type HeartbeatRequest = z.infer<typeof HeartbeatRequest>;

export const RepositoryCheckout = z.strictObject({
  url: z.string(),
  /** A branch, a tag or a full commit id. */
  ref: z.string(),
  /** Password or token for HTTPS; the user name is `x-access-token` unless the URL names one. */
  credential: z.string().exactOptional(),
  timeoutMs: z.number(),
});
export type RepositoryCheckout = Answered<typeof RepositoryCheckout>;

const StartCommand = z.strictObject({
  number: z.int(),
  kind: z.literal('start'),
  runId: z.string(),
  attempt: z.int().min(1),
  command: z.array(z.string()),
  workingDirectory: z.string().exactOptional(),
  env: z.record(z.string(), z.string()),
  input: JsonValue,
  occurrence: z.string().exactOptional(),
  /** For `CANDOR_RUN_TOKEN`. */
  runToken: z.string(),
  maxOutputBytes: z.number(),
  maxLogBytes: z.number(),
  /** Globs, relative to the working folder, of files that are collected besides those in CANDOR_ARTIFACTS. */
  artifacts: z.array(z.string()).exactOptional(),
  /** Values that are blanked out in the log before it is written anywhere. */
  mask: z.array(z.string()).exactOptional(),
  /** Run one after the other before the first run on this VM; again only where they have changed. */
  setup: z.strictObject({ commands: z.array(z.array(z.string())), timeoutMs: z.number() }).exactOptional(),
  /** Checked out into the working folder before the process starts; the agent's process never gets the credential. */
  repository: RepositoryCheckout.exactOptional(),
  /** Nothing is to be started, and this is why: a secret, or the VM's future, is gone. Answered with `not_started`, `impossible`. */
  impossible: z.string().exactOptional(),
});

const CancelCommand = z.strictObject({
  number: z.int(),
  kind: z.literal('cancel'),
  runId: z.string(),
  attempt: z.int().min(1),
  /** What `terminatedBy` must say if the signals end the work. */
  cause: z.enum(['cancel', 'timeout', 'idle']),
  /** SIGINT at once, SIGTERM after the first wait, SIGKILL after the second. */
  interruptMs: z.number(),
  terminateMs: z.number(),
});

const StopVmCommand = z.strictObject({ number: z.int(), kind: z.literal('stop-vm') });

export const RunnerCommand = z.discriminatedUnion('kind', [StartCommand, CancelCommand, StopVmCommand]);
export type RunnerCommand = Answered<typeof RunnerCommand>;

export const HeartbeatResponse = z.strictObject({
  commands: z.array(RunnerCommand),
  /** Outcomes that are stored: they may leave the registry. */
  acknowledged: z.array(z.strictObject({ runId: z.string(), attempt: z.int().min(1) })),
  nextHeartbeatMs: z.number(),
  /** How long from now the VM is believed without another heartbeat. */
  leaseMs: z.number(),
  /** A fresh token, when the present one is past half its life. */
  token: z.string().exactOptional(),
});
export type HeartbeatResponse = Answered<typeof HeartbeatResponse>;

/**
 * `PUT /runner/v1/runs/{runId}/attempts/{attempt}/artifacts?path=…&bytes=…&sha256=…`, the file's bytes as the body. The
 * answer is 204, or 307 to where the bytes are to be put instead, without the token. Sending one again is harmless.
 *
 * With `ask=true` and without a body it only asks where the bytes are wanted: the answer is 307, or 200 with
 * {@link SendHere}. What stands before the server may take no large body (API Gateway: 10 MB, Lambda: 6 MB), not even to
 * answer it with a 307.
 */
export const ArtifactQuery = z.strictObject({
  path: Artifact.shape.path,
  bytes: z.coerce.number().pipe(z.int().min(0)),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  ask: z.enum(['true', 'false']).optional(),
});

export const SendHere = z.strictObject({ send: z.literal('here') });
export type SendHere = Answered<typeof SendHere>;

/** `PUT /runner/v1/runs/{runId}/attempts/{attempt}/logs/{chunk}`: numbered from 0, without gaps; sending one again as it was is harmless. */
export const LogChunk = z.strictObject({
  records: z
    .array(
      z.strictObject({
        atMs: z.number().min(0),
        stream: z.enum(['stdout', 'stderr', 'candor']),
        text: z.string().optional(),
        base64: z.string().optional(),
      }),
    )
    .max(5000),
});
export type LogChunk = z.infer<typeof LogChunk>;
