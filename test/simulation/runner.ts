/**
 * The runner on a machine: the real decisions (`runner/decide.ts`) and the real registry, over a simulated journal, simulated
 * processes and a simulated network. The conversation follows `runner/session.ts`.
 */
import type { HeartbeatRequest, HeartbeatResponse } from '../../core/contract/runner.ts';
import { CandorError, ERROR_CODES } from '../../core/errors.ts';
import type { Ports, TokenClaims } from '../../core/ports.ts';
import { heartbeat } from '../../core/vms/heartbeat.ts';
import { registerInstance } from '../../core/vms/registerInstance.ts';
import { decide, type Effect, type Event } from '../../runner/decide.ts';
import { registryOf } from '../../runner/registry.ts';
import { type Address, apply, liveRuns, type State } from '../../runner/state.ts';
import type { ActsFor } from './incarnations.ts';
import type { Machine } from './machine.ts';

type Answer<T> =
  | { readonly kind: 'ok'; readonly body: T }
  | { readonly kind: 'refused'; readonly status: number; readonly code: string | undefined }
  | { readonly kind: 'unreachable' };

const REQUEST_TIMEOUT_MS = 10_000;
const HEARTBEAT_MS_MAX = 60_000;
const UNWANTED_ANSWERS = 5;
const UNWANTED_MS = 10_000;

export class Runner {
  readonly #machine: Machine;
  readonly #nonce: string;
  #state: State;
  #over = false;
  #token: string | undefined;
  #generation = 0;
  #seq = 0;
  #failures = 0;
  #refusals = 0;
  #refusedSinceMs = 0;
  #dueAt = 0;
  #changed = false;
  #wake: (() => void) | undefined;
  #closing: 'silently' | 'with-a-last-heartbeat' | undefined;
  #lostAt = 0;
  #looks = false;

  constructor(machine: Machine, state: State) {
    this.#machine = machine;
    this.#state = state;
    this.#nonce = `nonce-${machine.instanceId}-${machine.world.random.bits()}`;
  }

  start(): void {
    const { world } = this.#machine;
    this.#lostAt = world.time.now + world.config.selfDestructSeconds * 1000;
    this.#lease();
    this.#dispatch({ kind: 'replayed' });
    this.#converse().catch((error: unknown) => world.broken('defect', `the runner threw ${String(error)}`));
  }

  /** This process is no more. */
  end(): void {
    this.#over = true;
    this.#wake?.();
  }

  lookAt(address: Address): void {
    if (this.#over) return;
    this.#dispatch({ kind: 'probed', ...pick(address), probe: this.#machine.probe(address) });
  }

  #lease(): void {
    const { time } = this.#machine.world;
    time.at(this.#lostAt, () => {
      if (this.#over) return;
      if (time.now >= this.#lostAt) this.#dispatch({ kind: 'lease-lost' });
      else this.#lease();
    });
  }

  #dispatch(event: Event): void {
    if (this.#over) return;
    const { facts, effects } = decide(this.#state, event, this.#machine.monotonicMs);
    this.#machine.keep(facts);
    this.#state = facts.reduce(apply, this.#state);
    for (const effect of effects) this.#act(effect);
    if (facts.length > 0) this.poke();
    this.#keepLooking();
  }

  #act(effect: Effect): void {
    const machine = this.#machine;
    const { world } = machine;
    switch (effect.kind) {
      case 'start':
        machine.startWork(pick(effect.command));
        return;
      case 'probe':
        this.lookAt(effect);
        return;
      case 'refuse':
        machine.refuse(effect);
        this.lookAt(effect);
        return;
      case 'send-signal':
        if (!machine.signal(effect, effect.signal) && effect.writtenDown)
          this.#dispatch({ kind: 'signal-missed', ...pick(effect) });
        return;
      case 'kill-all':
        machine.killAll(effect);
        return;
      case 'collect':
        world.time.after(world.random.spread(5, 3000), () => {
          if (!machine.isOn) return;
          const artifacts = machine.filesOf(effect);
          this.#dispatch({
            kind: 'collected',
            ...pick(effect),
            probe: effect.probe,
            collected: { logChunks: 0, remarks: [], ...(artifacts.length > 0 && { artifacts: [...artifacts] }) },
          });
        });
        return;
      case 'forget':
        machine.forget(effect);
        return;
      case 'stop':
        this.#closing = this.#isUnheard() ? 'silently' : 'with-a-last-heartbeat';
        this.#wake?.();
        return;
    }
  }

  #isUnheard = (): boolean => this.#state.stopping === 'unwanted' || this.#state.stopping === 'lease-lost';

  /** While work is being ended or has yet to be seen, again and again; else what happens to it calls. */
  #keepLooking(): void {
    if (this.#looks) return;
    const unfinished = () => liveRuns(this.#state).filter((run) => run.live.finishing !== true);
    const live = unfinished();
    if (live.length === 0) return;
    const soon = live.some(({ live: seen, cancel }) => cancel !== undefined || seen.pid === undefined);
    this.#looks = true;
    this.#machine.world.time.after(soon ? 1000 : 15_000, () => {
      this.#looks = false;
      if (this.#over || !this.#machine.isOn) return;
      for (const run of unfinished()) this.lookAt(run);
      this.#keepLooking();
    });
  }

  poke(): void {
    this.#changed = true;
    if (this.#failures === 0) this.#wake?.();
  }

  async #converse(): Promise<void> {
    const { time } = this.#machine.world;
    while (!this.#over && this.#closing === undefined) {
      if (this.#token === undefined) {
        await this.#register();
        if (this.#token === undefined) await this.#sleepUntil(this.#dueAt);
        continue;
      }
      const dueAt = this.#changed && this.#failures === 0 ? time.now : this.#dueAt;
      if (time.now >= dueAt) await this.#beat();
      else await this.#sleepUntil(dueAt);
    }
    if (this.#over) return;
    const until = time.now + 5000;
    while (this.#closing === 'with-a-last-heartbeat' && time.now < until && !this.#over) {
      if (this.#token === undefined) await this.#register();
      if (await this.#beat()) break;
      await this.#sleepUntil(Math.min(this.#dueAt, until));
    }
    if (!this.#over) this.#machine.powerOff(`its runner stops: ${this.#state.stopping}`);
  }

  async #register(): Promise<void> {
    const { vmId, instanceId, world } = this.#machine;
    const request = { vmId, nonce: this.#nonce, runnerVersion: '1.0.0' };
    const answer = await this.#send('register', undefined, (ports) => registerInstance(ports, instanceId, request));
    if (answer.kind === 'ok') {
      const { generation, token } = answer.body;
      if (generation !== this.#generation) this.#seq = 0;
      this.#generation = generation;
      this.#token = token;
      this.#refusals = 0;
      if (this.#failures === 0) this.#dueAt = world.time.now;
      return;
    }
    this.#backOff();
    if (answer.kind === 'unreachable' || ![401, 404, 409].includes(answer.status)) {
      this.#refusals = 0;
      return;
    }
    if (this.#refusals === 0) this.#refusedSinceMs = world.time.now;
    this.#refusals++;
    if (this.#refusals >= UNWANTED_ANSWERS && world.time.now - this.#refusedSinceMs >= UNWANTED_MS)
      this.#dispatch({ kind: 'unwanted' });
  }

  async #beat(): Promise<boolean> {
    const machine = this.#machine;
    const { vmId, world } = machine;
    const token = this.#token;
    if (token === undefined) return false;
    this.#seq++;
    this.#changed = false;
    const now = { monotonicMs: machine.monotonicMs, bootId: machine.instanceId };
    const watched = (key: string) => {
      const started = this.#state.runs.get(key)?.live.startedMonotonicMs;
      return world.isIdleWork(key) && started !== undefined ? { idleForMs: now.monotonicMs - started } : {};
    };
    const request: HeartbeatRequest = {
      vmId,
      generation: this.#generation,
      seq: this.#seq,
      registry: machine.omits() ? [] : registryOf(this.#state, now, watched),
      acks: this.#state.lastTaken,
    };
    const answer = await this.#send('heartbeat', { vmId, generation: this.#generation }, async (ports) => {
      const claims = await ports.tokens.verify(token, ports.time.now());
      if (claims?.kind !== 'vm') throw new CandorError('unauthenticated', 'The token is not valid.');
      const answered = await heartbeat(ports, claims as Extract<TokenClaims, { kind: 'vm' }>, request);
      world.checker.vms.answered(request, answered.commands);
      return answered;
    });
    if (answer.kind === 'ok') {
      this.#answered(answer.body);
      return true;
    }
    this.#backOff();
    if (answer.kind === 'refused' && answer.code === 'stale_generation') this.end();
    else if (answer.kind === 'refused' && [401, 403, 404].includes(answer.status)) this.#token = undefined;
    return false;
  }

  #answered({ token, nextHeartbeatMs, leaseMs, commands, acknowledged }: HeartbeatResponse): void {
    const { time, config } = this.#machine.world;
    if (token !== undefined) this.#token = token;
    this.#failures = 0;
    this.#dueAt = time.now + Math.min(Math.max(nextHeartbeatMs, 20), HEARTBEAT_MS_MAX);
    this.#lostAt = time.now + Math.max(leaseMs, config.selfDestructSeconds * 1000);
    this.#machine.answered();
    if (acknowledged.length > 0) this.#dispatch({ kind: 'acknowledged', acknowledged });
    for (const command of commands) this.#machine.world.checker.secrets.told(this.#machine.vmId, command);
    if (commands.length > 0) this.#dispatch({ kind: 'commands', commands });
  }

  /** Over the network: a request may be lost, late or double, and so may an answer. */
  #send<T>(
    kind: 'register' | 'heartbeat',
    actsFor: ActsFor | undefined,
    body: (ports: Ports) => Promise<T>,
  ): Promise<Answer<T>> {
    const machine = this.#machine;
    const { world } = machine;
    const { time, random } = world;
    return new Promise((resolve) => {
      let settled = false;
      const settle = (answer: Answer<T>) => {
        if (settled || this.#over) return;
        settled = true;
        timer.cancel();
        resolve(answer);
      };
      const timer = time.after(REQUEST_TIMEOUT_MS, () => settle({ kind: 'unreachable' }));
      if (machine.isCutOff) return;
      const { lost, double, late } = world.network;
      if (random.chance(lost)) return;
      const deliver = async () => {
        const outcome = await world.invoke(kind, body, actsFor);
        if (random.chance(lost) || machine.isCutOff) return;
        if (outcome.kind === 'answered') return settle({ kind: 'ok', body: outcome.value });
        const { error } = outcome.kind === 'threw' ? outcome : { error: undefined };
        const code = error instanceof CandorError ? error.code : undefined;
        settle({ kind: 'refused', status: code === undefined ? 500 : ERROR_CODES[code].status, code });
      };
      time.after(random.chance(late) ? random.spread(1000, 60_000) : world.latencyMs(), () => void deliver());
      if (random.chance(double)) time.after(random.spread(10, 60_000), () => void deliver());
    });
  }

  #backOff(): void {
    const { time, random } = this.#machine.world;
    this.#dueAt = time.now + random.below(Math.min(5000, 200 * 2 ** Math.min(this.#failures, 10))) + 1;
    this.#failures++;
  }

  #sleepUntil(at: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        timer.cancel();
        this.#wake = undefined;
        resolve();
      };
      const timer = this.#machine.world.time.at(at, wake);
      this.#wake = wake;
    });
  }
}

const pick = ({ runId, attempt }: Address): Address => ({ runId, attempt });
