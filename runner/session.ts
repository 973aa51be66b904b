/**
 * The conversation with the server: registration, then one heartbeat after the other, at the server's pace or sooner
 * when something has changed. Never two in flight.
 */
import type {
  Artifact,
  HeartbeatRequest,
  HeartbeatResponse,
  RegisterResponse,
  RegistryEntry,
} from '../core/contract/runner.ts';
import { type Answer, type DoorRequest, type FileBody, send, sendFile } from './door.ts';
import { log } from './log.ts';
import { backoffMs } from './patience.ts';
import { monotonicMs } from './proc.ts';
import type { Identity } from './settings.ts';
import type { Stored } from './upload.ts';

const REQUEST_TIMEOUT_MS = 10_000;
/** Changes that come together are told together. */
const HEARTBEAT_GAP_MS = 20;
/** The server's pace is kept within these bounds, whatever it says. */
const HEARTBEAT_MS_MAX = 60_000;
/** This many refusals in a row, over at least this time, mean that nobody knows this VM any more. */
const UNWANTED_ANSWERS = 5;
const UNWANTED_MS = 10_000;
const FINAL_HEARTBEAT_MS = 5000;
/** What a log is refused with for good: the same chunk would be refused again, and so would those behind it. */
const FINAL_REFUSALS: readonly (string | undefined)[] = [
  'run_ended',
  'chunk_conflict',
  'illegal_transition',
  'payload_too_large',
];

export interface SessionHooks {
  /** Reads `runner.json` again. */
  readonly identity: () => Identity | undefined;
  readonly report: () => { readonly registry: RegistryEntry[]; readonly acks: number };
  readonly onAnswer: (answer: HeartbeatResponse) => void;
  /** The server has refused the registration again and again. */
  readonly onUnwanted: () => void;
  /** Another runner of this VM has registered since. */
  readonly onSuperseded: () => void;
}

interface Registration {
  readonly vmId: string;
  readonly generation: number;
  readonly token: string;
}

/** The runner's standing with the server. */
export class Session {
  readonly #hooks: SessionHooks;
  readonly #nonce: string;
  readonly #version: string;
  #identity: Identity;
  #registration: Registration | undefined;
  #generation = 0;
  #seq = 0;
  #failures = 0;
  #refusals = 0;
  #refusedSinceMs = 0;
  #lastSentMs = Number.NEGATIVE_INFINITY;
  #dueMs = 0;
  #changed = false;
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #closing = false;

  constructor(identity: Identity, nonce: string, version: string, hooks: SessionHooks) {
    this.#identity = identity;
    this.#nonce = nonce;
    this.#version = version;
    this.#hooks = hooks;
  }

  /** Whether the last heartbeat was answered. */
  get reachable(): boolean {
    return this.#registration !== undefined && this.#failures === 0;
  }

  /** Something has changed that the server should hear of soon. */
  poke(): void {
    this.#changed = true;
    this.#wake?.();
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Ends the conversation: with one last heartbeat, which says all that has been taken and has ended, or without. */
  async close(how: 'with-a-last-heartbeat' | 'silently'): Promise<void> {
    this.#closing = true;
    this.#wake?.();
    await this.#running;
    if (how === 'silently') return;
    const untilMs = monotonicMs() + FINAL_HEARTBEAT_MS;
    while (monotonicMs() < untilMs) {
      if (!this.#registration) await this.#register();
      if (await this.#beat()) return;
      await this.#sleep(Math.min(this.#dueMs, untilMs) - monotonicMs());
    }
  }

  /** Stores one chunk of a run's output. */
  async putLogs(runId: string, attempt: number, chunk: number, body: Buffer): Promise<Stored> {
    const registration = this.#registration;
    if (!registration) return 'failed';
    const path = `runs/${encodeURIComponent(runId)}/attempts/${attempt}/logs/${chunk}`;
    const answer = await this.#send('PUT', path, registration.token, body);
    if (answer.kind === 'ok') return 'stored';
    log.warn('log_chunk_not_stored', { runId, attempt, chunk, ...describe(answer) });
    return answer.kind === 'refused' && FINAL_REFUSALS.includes(answer.code) ? 'refused' : 'failed';
  }

  /** Stores an artifact. Nothing is answered while no registration stands: then it was not tried. */
  async putArtifact(
    runId: string,
    attempt: number,
    { path: name, bytes, sha256 }: Artifact,
    body: FileBody,
  ): Promise<Answer | undefined> {
    const registration = this.#registration;
    if (!registration) return undefined;
    const query = new URLSearchParams({ path: name, bytes: String(bytes), sha256 });
    const path = `runs/${encodeURIComponent(runId)}/attempts/${attempt}/artifacts?${query}`;
    const answer = await sendFile({ url: this.#urlOf(path), bearer: registration.token, body });
    if (answer.kind !== 'ok') log.warn('artifact_not_stored', { runId, attempt, bytes, ...describe(answer) });
    return answer;
  }

  async #run(): Promise<void> {
    while (!this.#closing) {
      if (!this.#registration) {
        await this.#register();
        if (!this.#registration) await this.#sleep(this.#dueMs - monotonicMs());
        continue;
      }
      const nowMs = monotonicMs();
      const soonMs = this.#lastSentMs + HEARTBEAT_GAP_MS;
      // While the server fails, changes wait for the next try like everything else: they must not hammer it.
      const dueMs = this.#changed && this.#failures === 0 ? Math.min(this.#dueMs, soonMs) : this.#dueMs;
      if (nowMs >= dueMs) await this.#beat();
      else await this.#sleep(dueMs - nowMs);
    }
  }

  async #register(): Promise<void> {
    const { vmId } = this.#identity;
    const body = JSON.stringify({ vmId, nonce: this.#nonce, runnerVersion: this.#version });
    const answer = await this.#sendRegistration(body);
    if (answer.kind === 'ok' && isRegistration(answer.body)) {
      const { generation, token } = answer.body;
      // The same generation again goes on counting: the server takes no number twice.
      if (this.#generation !== generation) this.#seq = 0;
      this.#generation = generation;
      this.#registration = { vmId, generation, token };
      this.#refusals = 0;
      // After a heartbeat that was refused its backoff stands: a token that never works must not become a busy loop.
      if (this.#failures === 0) this.#dueMs = monotonicMs();
      log.info('registered', { vmId, generation });
      return;
    }
    log.warn('not_registered', { vmId, ...describe(answer) });
    this.#backOff();
    const refused = answer.kind === 'refused' && [401, 404, 409].includes(answer.status);
    if (!refused) {
      this.#refusals = 0;
      return;
    }
    if (this.#refusals === 0) this.#refusedSinceMs = monotonicMs();
    this.#refusals += 1;
    if (this.#refusals >= UNWANTED_ANSWERS && monotonicMs() - this.#refusedSinceMs >= UNWANTED_MS) {
      this.#hooks.onUnwanted();
    }
  }

  /** Sends one heartbeat. Answers whether it was answered. */
  async #beat(): Promise<boolean> {
    const registration = this.#registration;
    if (!registration) return false;
    const { vmId, generation, token } = registration;
    this.#seq += 1;
    this.#changed = false;
    this.#lastSentMs = monotonicMs();
    const request: HeartbeatRequest = { vmId, generation, seq: this.#seq, ...this.#hooks.report() };
    const answer = await this.#send('POST', 'heartbeat', token, JSON.stringify(request));
    if (answer.kind === 'ok' && isHeartbeatResponse(answer.body)) {
      const { nextHeartbeatMs, token: fresh } = answer.body;
      if (fresh !== undefined) this.#registration = { vmId, generation, token: fresh };
      if (this.#failures > 0) log.info('heartbeat_answered_again', { seq: this.#seq });
      this.#failures = 0;
      this.#dueMs = monotonicMs() + Math.min(Math.max(nextHeartbeatMs, HEARTBEAT_GAP_MS), HEARTBEAT_MS_MAX);
      this.#hooks.onAnswer(answer.body);
      return true;
    }
    log.warn('heartbeat_failed', { seq: this.#seq, ...describe(answer) });
    this.#backOff();
    if (answer.kind === 'refused' && answer.code === 'stale_generation') this.#hooks.onSuperseded();
    else if (answer.kind === 'refused' && [401, 403, 404].includes(answer.status)) this.#registration = undefined;
    return false;
  }

  #urlOf(path: string): string {
    return `${this.#identity.url}/runner/v1/${path}`;
  }

  async #sendRegistration(body: string): Promise<Answer> {
    const { key = '', sign } = this.#identity;
    try {
      const proof = sign === undefined ? key : await sign(this.#urlOf('register'), 'POST', body);
      return await this.#send('POST', 'register', proof, body);
    } catch (error) {
      return { kind: 'unreachable', reason: `the request could not be signed: ${String(error)}` };
    }
  }

  async #send(
    method: 'POST' | 'PUT',
    path: string,
    proof: DoorRequest['proof'],
    body: string | Buffer,
  ): Promise<Answer> {
    const answer = await send({ url: this.#urlOf(path), method, proof, body, timeoutMs: REQUEST_TIMEOUT_MS });
    // The server may have come back at another address, or with another key for us.
    if (answer.kind === 'unreachable') this.#identity = this.#hooks.identity() ?? this.#identity;
    return answer;
  }

  #backOff(): void {
    this.#dueMs = monotonicMs() + backoffMs(this.#failures);
    this.#failures += 1;
  }

  /** Sleeps, at most for the given time, until something may have to be done. */
  async #sleep(ms: number): Promise<void> {
    if (ms <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        // A poke shortens the wait for a heartbeat, never that for a server that fails.
        if (this.#failures > 0 && !this.#closing) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }
}

function isRegistration(body: unknown): body is RegisterResponse {
  const { generation, token } = (body ?? {}) as Partial<RegisterResponse>;
  return typeof generation === 'number' && typeof token === 'string';
}

function isHeartbeatResponse(body: unknown): body is HeartbeatResponse {
  const { commands, acknowledged, nextHeartbeatMs } = (body ?? {}) as Partial<HeartbeatResponse>;
  return Array.isArray(commands) && Array.isArray(acknowledged) && typeof nextHeartbeatMs === 'number';
}

function describe(answer: Answer): { status?: number; code?: string; reason?: string } {
  if (answer.kind === 'refused') {
    return { status: answer.status, ...(answer.code !== undefined && { code: answer.code }) };
  }
  return { reason: answer.kind === 'unreachable' ? answer.reason : 'the answer has not the shape of the contract' };
}
