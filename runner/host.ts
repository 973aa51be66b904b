/** Runs the decisions of `decide.ts` on this machine: journal first, then processes, files and the server. */
import type { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import type { HeartbeatResponse, RegistryEntry } from '../core/contract/runner.ts';
import { Activity } from './activity.ts';
import { collect } from './collect.ts';
import { decide, type Effect, type Event, type Probe } from './decide.ts';
import { writeAtomically } from './files.ts';
import type { Journal } from './journal.ts';
import { log } from './log.ts';
import type { PatienceDoor } from './patience.ts';
import { currentBootId, type Mark, monotonicMs } from './proc.ts';
import { registryOf } from './registry.ts';
import type { Session } from './session.ts';
import type { Settings } from './settings.ts';
import { type Address, apply, keyOf, liveRuns, type Run, type StartCommand, type State } from './state.ts';
import { LogUpload } from './upload.ts';
import { dropPlan, killAll, probe, refuse, runFolder, signalWork, startShim } from './work.ts';

const LOOK_MS = 100;
/** While a start or an end is under way someone waits for it, and the looks are closer together. */
const LOOK_SOON_MS = 25;
const TRY_AGAIN_MS = 1000;
/** A disk that is full is given this many tries to keep an outcome as it is. */
const TRIES_WITH_OUTPUT = 5;
const COMPLAINT_GAP_MS = 5000;
/** How long a server that fails is waited for with what a run has put out and left. */
const PATIENCE_MS = 30_000;
const PATIENCE_STOPPING_MS = 5000;

export interface HostOptions {
  readonly settings: Settings;
  readonly vmId: string;
  readonly url: () => string;
  readonly journal: Journal;
  readonly state: State;
  /** Ends this process. */
  readonly exit: () => void;
  /** Ends the machine, or where that is not ours, this process. */
  readonly powerOff: () => void;
}

/** The runner at work on one VM. */
export class Host {
  readonly #options: HostOptions;
  readonly #session: Session;
  readonly #bootId = currentBootId();
  readonly #shims = new Map<string, ChildProcess>();
  readonly #uploads = new Map<string, LogUpload>();
  readonly #activity = new Map<string, Activity>();
  readonly #queue: Event[] = [];
  #state: State;
  #dispatching = false;
  readonly #tries = new WeakMap<Event, number>();
  #complainFromMs = 0;
  #lookTimer: NodeJS.Timeout | undefined;

  readonly #patience: PatienceDoor = {
    reachable: () => this.#session.reachable,
    patience: () => {
      if (this.#isUnheard()) return { ms: 0, whileUnreachable: true };
      if (this.#state.stopping) return { ms: PATIENCE_STOPPING_MS, whileUnreachable: true };
      return { ms: PATIENCE_MS, whileUnreachable: false };
    },
  };

  constructor(options: HostOptions, session: Session) {
    this.#options = options;
    this.#session = session;
    this.#state = options.state;
  }

  /** Takes up what an earlier runner of this VM has left. */
  resume(): void {
    this.#removeUnknownFolders();
    this.dispatch({ kind: 'replayed' });
  }

  report(): { registry: RegistryEntry[]; acks: number } {
    const now = { monotonicMs: monotonicMs(), bootId: this.#bootId };
    const watched = (key: string) => {
      const logChunks = this.#uploads.get(key)?.stored;
      const idleForMs = this.#activity.get(key)?.idleForMs(now.monotonicMs);
      return { ...(logChunks !== undefined && { logChunks }), ...(idleForMs !== undefined && { idleForMs }) };
    };
    return { registry: registryOf(this.#state, now, watched), acks: this.#state.lastTaken };
  }

  take({ commands, acknowledged }: HeartbeatResponse): void {
    if (acknowledged.length > 0) this.dispatch({ kind: 'acknowledged', acknowledged });
    if (commands.length > 0) this.dispatch({ kind: 'commands', commands });
  }

  /** Decides on an event, keeps the facts, then acts. Events that arise meanwhile wait for their turn. */
  dispatch(event: Event): void {
    this.#queue.push(event);
    if (this.#dispatching) return;
    this.#dispatching = true;
    try {
      for (let next = this.#queue.shift(); next; next = this.#queue.shift()) this.#handle(next);
    } finally {
      this.#dispatching = false;
    }
    this.#scheduleLook();
  }

  #handle(event: Event): void {
    const { facts, effects } = decide(this.#state, event, monotonicMs());
    try {
      this.#options.journal.append(facts);
    } catch (error) {
      this.#complain('journal_not_written', error);
      this.#comeBackTo(event);
      return;
    }
    this.#state = facts.reduce(apply, this.#state);
    for (const fact of facts) {
      if (fact.kind === 'outcome') {
        const { state, exitCode, signal, terminatedBy, detail } = fact.outcome;
        log.info('run_outcome', { ...addressOf(fact), state, exitCode, signal, terminatedBy, detail });
      } else if (fact.kind === 'taken') {
        log.info('command_taken', { number: fact.number, command: fact.command.kind });
      }
    }
    for (const effect of effects) {
      try {
        this.#act(effect);
      } catch (error) {
        // The next look finds things as they are, and decides again.
        this.#complain('effect_failed', error, effect.kind);
      }
    }
    if (facts.length > 0) this.#session.poke();
  }

  /** Nothing was done about an event that could not be kept. Those that do not arise again by themselves are kept here. */
  #comeBackTo(event: Event): void {
    if (event.kind === 'commands' || event.kind === 'probed' || event.kind === 'acknowledged') return;
    const tries = (this.#tries.get(event) ?? 0) + 1;
    // Better an end without its output than no end.
    const next = event.kind === 'collected' && tries >= TRIES_WITH_OUTPUT ? withoutOutput(event) : event;
    this.#tries.set(next, tries);
    setTimeout(() => this.dispatch(next), TRY_AGAIN_MS);
  }

  /** What goes wrong at every look, as on a full disk, is said once in a while. */
  #complain(event: string, error: unknown, effect?: string): void {
    if (monotonicMs() < this.#complainFromMs) return;
    this.#complainFromMs = monotonicMs() + COMPLAINT_GAP_MS;
    log.error(event, { reason: String(error), ...(effect !== undefined && { effect }) });
  }

  #act(effect: Effect): void {
    switch (effect.kind) {
      case 'start':
        this.#start(effect.command);
        return;
      case 'probe':
        this.#look(effect);
        return;
      case 'refuse':
        this.#refuse(effect);
        return;
      case 'send-signal':
        log.info('signal', { ...addressOf(effect), signal: effect.signal });
        if (!signalWork(this.#folder(effect), this.#mark(effect), effect.signal) && effect.writtenDown) {
          this.dispatch({ kind: 'signal-missed', ...addressOf(effect) });
        }
        return;
      case 'kill-all':
        log.warn('shim_hangs', addressOf(effect));
        killAll(this.#mark(effect));
        return;
      case 'collect':
        this.#collect(effect, effect.probe, effect.killAtOnce).catch((error: unknown) => {
          // Nobody else comes back to a run that is being finished.
          this.#complain('effect_failed', error, effect.kind);
          setTimeout(() => this.#act(effect), TRY_AGAIN_MS);
        });
        return;
      case 'forget':
        this.#uploads.delete(keyOf(effect));
        this.#activity.delete(keyOf(effect));
        this.#shims.delete(keyOf(effect));
        this.#remove(this.#folder(effect));
        this.#options.journal.compact(this.#state);
        return;
      case 'stop':
        void this.#stop();
        return;
    }
  }

  #start(command: StartCommand): void {
    const key = keyOf(command);
    const { settings } = this.#options;
    try {
      const child = startShim(command, {
        vmDir: settings.vmDir,
        folder: this.#folder(command),
        mark: this.#mark(command),
        url: this.#options.url(),
        baseEnvironment: settings.baseEnvironment,
        compileCache: settings.compileCache,
        runAs: settings.runAs,
      });
      this.#shims.set(key, child);
      child.on('error', (error) => log.error('shim_not_started', { ...addressOf(command), reason: error.message }));
      child.on('exit', () => this.#look(command));
      log.info('run_starting', { ...addressOf(command), shimPid: child.pid });
    } catch (error) {
      // Nothing was spawned, and this process is the only one that could have: it is certain that nothing ever ran.
      dropPlan(this.#folder(command));
      this.dispatch({
        kind: 'start-failed',
        ...addressOf(command),
        detail: `It could not be started: ${String(error)}`,
      });
    }
  }

  #look(address: Address): void {
    this.dispatch({ kind: 'probed', ...addressOf(address), probe: this.#probe(address) });
  }

  #probe(address: Address): Probe {
    const shim = this.#shims.get(keyOf(address));
    const ownShimRuns = shim?.pid !== undefined && shim.exitCode === null && shim.signalCode === null;
    return probe(this.#folder(address), this.#mark(address), ownShimRuns);
  }

  #refuse(address: Address): void {
    const refused = refuse(this.#folder(address));
    log.info('start_taken_back', { ...addressOf(address), refused });
    // A shim that is still on its way up finds the claim taken and does nothing; there is no need to wait for that.
    if (refused) killAll(this.#mark(address));
    this.#look(address);
  }

  async #collect(address: Address, probed: Probe, killAtOnce: boolean): Promise<void> {
    const maxOutputBytes = this.#state.runs.get(keyOf(address))?.maxOutputBytes ?? 0;
    const collected = await collect({
      isForeign: this.#options.settings.runAs !== undefined,
      folder: this.#folder(address),
      mark: this.#mark(address),
      upload: this.#upload(address),
      door: {
        put: (artifact, body) => this.#session.putArtifact(address.runId, address.attempt, artifact, body),
        ...this.#patience,
      },
      killAtOnce,
      started: probed.preparing === undefined,
      maxOutputBytes,
    });
    this.dispatch({ kind: 'collected', ...addressOf(address), probe: probed, collected });
  }

  #upload(address: Address): LogUpload {
    const key = keyOf(address);
    const known = this.#uploads.get(key);
    if (known) return known;
    const upload = new LogUpload(this.#folder(address), {
      put: (chunk, body) => this.#session.putLogs(address.runId, address.attempt, chunk, body),
      ...this.#patience,
    });
    this.#uploads.set(key, upload);
    return upload;
  }

  #watch(run: Run): void {
    // Until the command has been seen started there is nothing that could be idle.
    if (run.live.pid === undefined) return;
    const key = keyOf(run);
    const activity = this.#activity.get(key) ?? new Activity(this.#folder(run), this.#mark(run));
    this.#activity.set(key, activity);
    activity.look(monotonicMs());
  }

  /** Looks at all living work, and again as long as there is some. */
  #scheduleLook(): void {
    if (this.#lookTimer) return;
    const unfinished = () => liveRuns(this.#state).filter((run) => !run.live.finishing);
    const live = unfinished();
    if (live.length === 0) return;
    const soon = live.some(({ live, cancel }) => cancel || (live.pid === undefined && !live.preparing));
    this.#lookTimer = setTimeout(
      () => {
        this.#lookTimer = undefined;
        for (const run of unfinished()) {
          this.#upload(run).poke();
          this.#look(run);
          this.#watch(run);
        }
        this.#scheduleLook();
      },
      soon ? LOOK_SOON_MS : LOOK_MS,
    );
  }

  /** Nobody listens any more. */
  #isUnheard(): boolean {
    return this.#state.stopping === 'unwanted' || this.#state.stopping === 'lease-lost';
  }

  async #stop(): Promise<void> {
    await this.#session.close(this.#isUnheard() ? 'silently' : 'with-a-last-heartbeat');
    const stopped = path.join(this.#options.settings.vmDir, 'stopped');
    try {
      writeAtomically(stopped, `${new Date().toISOString()}\n`);
    } catch {
      // Its being there is what counts, and an empty file has room on a full disk too.
      fs.closeSync(fs.openSync(stopped, 'w'));
    }
    log.info('stopped', { reason: this.#state.stopping });
    if (this.#state.stopping === 'lease-lost') this.#options.powerOff();
    else this.#options.exit();
  }

  #removeUnknownFolders(): void {
    const runs = path.join(this.#options.settings.vmDir, 'runs');
    if (!fs.existsSync(runs)) return;
    const known = new Set([...this.#state.runs.values()].map((run) => path.basename(this.#folder(run))));
    for (const name of fs.readdirSync(runs)) {
      if (!known.has(name)) this.#remove(path.join(runs, name));
    }
  }

  #remove(folder: string): void {
    // Out of the way in one step: whoever still holds its name finds all of it or nothing, never a part.
    const removed = path.join(path.dirname(folder), `removed-${path.basename(folder)}-${process.pid}`);
    try {
      fs.renameSync(folder, removed);
    } catch {
      return;
    }
    fs.rm(removed, { recursive: true, force: true, maxRetries: 3 }, (error) => {
      if (error) log.warn('folder_not_removed', { folder, reason: error.message });
    });
  }

  #folder(address: Address): string {
    return runFolder(this.#options.settings.vmDir, address);
  }

  #mark({ runId, attempt }: Address): Mark {
    return { vmId: this.#options.vmId, runId, attempt };
  }
}

function withoutOutput(event: Extract<Event, { kind: 'collected' }>): Event {
  const { output, outputTruncatedBytes: _, artifacts: __, remarks, ...rest } = event.collected;
  const lost = output === undefined ? [] : ['Its output could not be kept: the disk is full.'];
  return { ...event, collected: { ...rest, remarks: [...remarks, ...lost] } };
}

const addressOf = ({ runId, attempt }: Address) => ({ runId, attempt });
