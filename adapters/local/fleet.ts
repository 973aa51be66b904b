/**
 * The fleet of one machine: a VM is a runner process with a folder of its own. All its processes carry the mark
 * `CANDOR_VM_ID=<vmId>` in their environment; what the fleet says about a VM it says from looking for that mark.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RegistryEntry } from '../../core/contract/runner.ts';
import type {
  Fleet,
  InstanceObservation,
  Launched,
  LaunchPlan,
  LaunchSpec,
  ListedInstance,
  Log,
  Time,
} from '../../core/ports.ts';
import type { Page } from '../../core/table/model.ts';
import { CapacityUnavailable, LaunchMisconfigured } from '../../core/vms/launchErrors.ts';
import { hasCode } from './files.ts';
import { readLastWords } from './lastWords.ts';
import {
  argumentsOf,
  environmentValue,
  hasProcfs,
  isAlive,
  monotonicNow,
  type ProcessIdentity,
  processesWithMark,
  sendSignal,
  waitUntil,
} from './procfs.ts';
import { RunnerSupervisor } from './supervisor.ts';
import { type VmFile, VmFolders } from './vmFolder.ts';

const MARK = 'CANDOR_VM_ID';
/** Work carries this besides the VM's mark; the runner itself does not. */
const RUN_MARK = 'CANDOR_RUN_ID';
/** All that a runner inherits. Everything else (our credentials above all) stays with us. */
const INHERITED = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR', 'USER'] as const;
const KILL_LIMIT_MS = 5000;
const KILL_AGAIN_MS = 20;
const RUNNER = fileURLToPath(new URL('../../runner/main.ts', import.meta.url));

export interface LocalFleetOptions {
  /** The data folder's real path. */
  readonly dataDir: string;
  /** Where runners find the server; asked at each launch and adoption. */
  readonly serverUrl: () => string;
  /** The environment from which runners inherit the little that they do. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  readonly time: Time;
  /**
   * Hears of the ends of runs that a VM which is gone has left untold, before its folder is removed and before it is called
   * terminated. What it throws, the observation or termination throws: then it is told again.
   */
  readonly onOutcomes?: (vmId: string, left: readonly RegistryEntry[]) => Promise<void>;
  /** Called when a VM has come to its end by itself: its runner stopped by order and no process is left. */
  readonly onExit?: (vmId: string) => void;
  /** For tests: the program and first arguments instead of `node runner/main.ts`. */
  readonly runnerCommand?: readonly string[];
  /** For tests: the program and first arguments instead of `node runner/sayLastWords.ts`. */
  readonly lastWordsCommand?: readonly string[];
  /** For tests: an error here is the launch's answer. */
  readonly launchFault?: (spec: LaunchSpec) => Error | undefined;
}

export class LocalFleet implements Fleet {
  readonly #options: LocalFleetOptions;
  readonly #folders: VmFolders;
  readonly #supervisors = new Map<string, RunnerSupervisor>();
  readonly #launching = new Set<string>();
  readonly #turns = new Map<string, Promise<unknown>>();
  #closed = false;

  constructor(options: LocalFleetOptions) {
    this.#options = options;
    this.#folders = new VmFolders(options.dataDir);
  }

  /**
   * Takes up the VMs of an earlier process: watches runners that live, starts dead ones again, goes on ending those that
   * were being ended. To be called once, before anything is launched, with the data folder's lock held.
   */
  async adopt(): Promise<void> {
    await this.#folders.sweepEnded(this.#options.time.now());
    const vmIds = await this.#folders.list();
    await Promise.all(vmIds.map((vmId) => this.#adoptOne(vmId)));
  }

  /** There is one kind of VM, at one place. */
  async plan(): Promise<LaunchPlan> {
    return { pools: [] };
  }

  async launch(spec: LaunchSpec): Promise<Launched> {
    if (this.#closed) throw new CapacityUnavailable('candor dev is stopping');
    if (!hasProcfs()) throw new LaunchMisconfigured('VMs on this machine need /proc, which only Linux has');
    const fault = this.#options.launchFault?.(spec);
    if (fault !== undefined) throw fault;
    this.#launching.add(spec.vmId);
    try {
      return { instanceId: await this.#inTurn(spec.vmId, () => this.#launchNow(spec)) };
    } finally {
      this.#launching.delete(spec.vmId);
    }
  }

  async observe(vmId: string, instanceId: string | undefined): Promise<InstanceObservation> {
    if (!hasProcfs())
      return { status: 'unknown', detail: 'this machine has no /proc: its processes cannot be looked up' };
    const observation = this.#look(vmId);
    if (observation.status !== 'terminated') return observation;
    const { detail } = observation;
    if (this.#folders.exists(vmId)) {
      await this.#letGo(vmId, detail);
      return observation;
    }
    const ended = await this.#folders.readEnded(vmId);
    if (ended === undefined || (instanceId !== undefined && ended.instanceId !== instanceId)) return observation;
    return { status: 'terminated', detail: `${ended.reason} (seen ${ended.endedAt})` };
  }

  async terminate(vmId: string, _instanceId: string | undefined): Promise<void> {
    const gone = await this.#inTurn(vmId, () => this.#endNow(vmId));
    if (gone) await this.#letGo(vmId, `no process carries the mark of ${vmId}; it was terminated`);
  }

  /** Every VM that has a folder: a folder is what a launch leaves first, and an end takes away last. */
  async list(): Promise<Page<ListedInstance>> {
    const items: ListedInstance[] = [];
    for (const vmId of await this.#folders.list()) {
      const vm = await this.#folders.readVm(vmId);
      const { status, detail } = this.#look(vmId);
      if (vm !== undefined) items.push({ instanceId: vm.instanceId, vmId, tenantId: vm.tenantId, status, detail });
    }
    return { items };
  }

  /** A VM of this machine has one instance at a time. */
  async terminateInstance({ vmId, instanceId }: Pick<ListedInstance, 'vmId' | 'instanceId'>): Promise<void> {
    const vm = await this.#folders.readVm(vmId);
    if (vm?.instanceId === instanceId) await this.terminate(vmId, instanceId);
  }

  /** Stops supervising. With `keep` the VMs go on by themselves until the next start adopts them; else all are ended. */
  async close({ keep }: { readonly keep: boolean }): Promise<void> {
    this.#closed = true;
    await Promise.allSettled([...this.#turns.values()]);
    await Promise.all([...this.#supervisors.values()].map((supervisor) => supervisor.close()));
    if (!keep) {
      const vmIds = await this.#folders.list();
      await Promise.all(vmIds.map((vmId) => this.#terminateLast(vmId)));
    }
    this.#supervisors.clear();
  }

  /** What cannot be told any more is told by the next start: the folder stays. */
  async #terminateLast(vmId: string): Promise<void> {
    await this.terminate(vmId, undefined).catch((error: unknown) =>
      this.#options.log.error('vm.not_let_go', { vmId, error }),
    );
  }

  async #adoptOne(vmId: string): Promise<void> {
    await this.#inTurn(vmId, () => this.#takeUp(vmId));
    // What an earlier process was ending, and has not told of yet.
    if (this.#folders.isTerminating(vmId)) await this.#terminateLast(vmId);
  }

  /** What is to be seen of the VM now. Nothing here waits, so that nothing changes between two of its looks. */
  #look(vmId: string): InstanceObservation {
    const marked = processesWithMark(MARK, vmId);
    const isStopped = this.#folders.isStopped(vmId);
    const isTerminating = this.#folders.isTerminating(vmId);
    if (marked.length > 0) {
      const pids = marked.map(({ pid }) => pid).join(', ');
      const ending = isTerminating ? '; it is being terminated' : isStopped ? '; its runner was told to stop' : '';
      return { status: 'running', detail: `${carriers(marked.length)} the mark of ${vmId} (pid ${pids})${ending}` };
    }
    const none = `no process carries the mark of ${vmId}`;
    if (isTerminating) return { status: 'terminated', detail: `${none}; it was terminated` };
    if (isStopped) return { status: 'terminated', detail: `${none}; its runner stopped by order` };
    if (this.#launching.has(vmId)) return { status: 'pending', detail: `${none} yet; it is being launched` };
    if (this.#supervisors.has(vmId))
      return { status: 'running', detail: `${none} just now; its runner died and is being started again` };
    if (!this.#folders.exists(vmId)) return { status: 'terminated', detail: `${none}, and it has no folder` };
    return { status: 'unknown', detail: `${none}, but its runner was not told to stop and nobody has taken it up yet` };
  }

  async #launchNow(spec: LaunchSpec): Promise<string> {
    const { vmId, clientToken } = spec;
    const ended = await this.#folders.readEnded(vmId);
    if (ended?.clientToken === clientToken) return ended.instanceId;
    const present = await this.#folders.readVm(vmId);
    if (present !== undefined) {
      if (present.clientToken === clientToken) {
        if (!this.#supervisors.has(vmId)) await this.#takeUp(vmId);
        return present.instanceId;
      }
      throw new CapacityUnavailable(`the earlier instance ${present.instanceId} of ${vmId} has not gone yet`);
    }
    if (processesWithMark(MARK, vmId).length > 0)
      throw new CapacityUnavailable(`processes of an earlier instance of ${vmId} are still there`);
    // A close may have begun while we read; what is started now would escape it.
    if (this.#closed) throw new CapacityUnavailable('candor dev is stopping');
    return this.#launchNew(spec);
  }

  async #launchNew({ vmId, tenantId, agentId, clientToken, registrationKey }: LaunchSpec): Promise<string> {
    const instanceId = `local-${vmId.slice(-12)}-${clientToken.slice(0, 8)}`;
    const launchedAt = new Date(this.#options.time.now()).toISOString();
    try {
      // On disk before there is a process: if we are killed in between, the next start finds the launch and completes it.
      await this.#folders.create(
        { vmId, tenantId, agentId, instanceId, clientToken, launchedAt },
        { vmId, url: this.#options.serverUrl(), key: await registrationKey() },
      );
      await this.#startRunner(vmId);
    } catch (error) {
      await this.#folders.discard(vmId);
      const detail = `the runner of ${vmId} cannot be started: ${error instanceof Error ? error.message : String(error)}`;
      const tried = [{ type: 'this machine', code: systemCode(error) }];
      if (hasCode(error, 'EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE', 'ENOSPC'))
        throw new CapacityUnavailable(detail, tried, { cause: error });
      throw new LaunchMisconfigured(detail, tried, { cause: error });
    }
    this.#options.log.info('vm.launched', { vmId, instanceId });
    return instanceId;
  }

  async #startRunner(vmId: string): Promise<void> {
    const supervisor = this.#supervise(vmId);
    try {
      await supervisor.start();
    } catch (error) {
      await supervisor.close();
      this.#supervisors.delete(vmId);
      throw error;
    }
  }

  #supervise(vmId: string): RunnerSupervisor {
    const { log } = this.#options;
    const folder = this.#folders.pathOf(vmId);
    const supervisor = new RunnerSupervisor({
      vmId,
      folder,
      command: [...(this.#options.runnerCommand ?? [process.execPath, RUNNER]), '--dir', folder],
      environment: { ...this.#environment(), [MARK]: vmId },
      log,
      mayRest: () => this.#folders.isStopped(vmId) || this.#folders.isTerminating(vmId) || !this.#folders.exists(vmId),
      save: async (runner) => {
        const vm = await this.#folders.readVm(vmId);
        if (vm !== undefined) await this.#folders.writeVm({ ...vm, runner });
      },
      onRest: () => {
        this.#inTurn(vmId, () => this.#rest(vmId)).catch((error: unknown) =>
          log.error('vm.rest_failed', { vmId, error }),
        );
      },
    });
    this.#supervisors.set(vmId, supervisor);
    return supervisor;
  }

  /** What every program that we start inherits. */
  #environment(): Readonly<Record<string, string>> {
    const { dataDir, environment } = this.#options;
    const inherited = INHERITED.flatMap((name) => {
      const value = environment[name];
      return value === undefined ? [] : [[name, value] as const];
    });
    return { ...Object.fromEntries(inherited), NODE_COMPILE_CACHE: path.join(dataDir, 'cache') };
  }

  /** The runner has stopped by order. What it left behind ends too, as it would when a machine is switched off. */
  async #rest(vmId: string): Promise<void> {
    this.#supervisors.delete(vmId);
    if (!(await this.#killMarked(vmId))) return;
    this.#options.log.info('vm.ended', { vmId });
    this.#options.onExit?.(vmId);
  }

  async #takeUp(vmId: string): Promise<void> {
    const { log } = this.#options;
    const vm = await this.#folders.readVm(vmId);
    if (vm === undefined) {
      // The launch did not get as far as a process, or its file is damaged: then the processes show which.
      if (processesWithMark(MARK, vmId).length === 0) await this.#folders.discard(vmId);
      else log.error('vm.file_damaged', { vmId });
      return;
    }
    if (this.#folders.isTerminating(vmId)) return;
    const runner = findRunner(vm, this.#folders.pathOf(vmId));
    if (runner === undefined && this.#folders.isStopped(vmId)) return this.#rest(vmId);
    await this.#folders.setServerUrl(vmId, this.#options.serverUrl());
    log.info('vm.adopted', { vmId, runner: runner?.pid ?? 'dead: started again' });
    if (runner !== undefined) await this.#supervise(vmId).adopt(runner);
    else await this.#startRunner(vmId).catch((error: unknown) => log.error('runner.not_started', { vmId, error }));
  }

  /** False while something of it still lives. */
  async #endNow(vmId: string): Promise<boolean> {
    await this.#folders.markTerminating(vmId, monotonicNow());
    await this.#supervisors.get(vmId)?.close();
    this.#supervisors.delete(vmId);
    return this.#killMarked(vmId);
  }

  /** Whoever hears of its outcomes may ask for the VM again: so they are told outside of its turn. */
  async #letGo(vmId: string, reason: string): Promise<void> {
    await this.#tellOutcomes(vmId);
    await this.#inTurn(vmId, () => this.#removeIfGone(vmId, reason));
  }

  async #tellOutcomes(vmId: string): Promise<void> {
    const { onOutcomes, lastWordsCommand, log } = this.#options;
    if (onOutcomes === undefined || !(await this.#folders.mayHaveOutcomes(vmId))) return;
    let left: readonly RegistryEntry[];
    try {
      left = await readLastWords(this.#folders.pathOf(vmId), this.#environment(), lastWordsCommand);
    } catch (error) {
      // Another look would find no more: then what it carried ends as lost.
      log.error('vm.last_words_not_read', { vmId, error: String(error) });
      return;
    }
    if (left.length === 0) return;
    log.info('vm.outcomes_left', { vmId, outcomes: left.length });
    await onOutcomes(vmId, left);
  }

  /** Kills until nobody carries the mark, as a process may fork while it is being killed. False if some do not go. */
  async #killMarked(vmId: string): Promise<boolean> {
    const gone = await waitUntil(
      () => {
        const marked = processesWithMark(MARK, vmId);
        for (const { pid } of marked) sendSignal(pid, 'SIGKILL');
        return marked.length === 0;
      },
      KILL_LIMIT_MS,
      KILL_AGAIN_MS,
    );
    if (!gone) this.#options.log.error('vm.processes_do_not_end', { vmId, limitMs: KILL_LIMIT_MS });
    return gone;
  }

  async #removeIfGone(vmId: string, reason: string): Promise<void> {
    if (this.#look(vmId).status === 'terminated') await this.#folders.remove(vmId, reason, this.#now());
  }

  #now(): number {
    return this.#options.time.now();
  }

  /** One operation at a time per VM: a launch and a termination of the same VM never interleave. */
  async #inTurn<T>(vmId: string, operation: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(vmId) ?? Promise.resolve();
    const turn = before.then(operation, operation);
    this.#turns.set(vmId, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(vmId) === turn) this.#turns.delete(vmId);
    }
  }
}

const systemCode = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'NotStarted';

const carriers = (count: number) => (count === 1 ? 'a process carries' : `${count} processes carry`);

/** The living runner: the process that was written down, or else one that carries the mark and was started for this folder. */
function findRunner(vm: VmFile, folder: string): ProcessIdentity | undefined {
  const { vmId, runner } = vm;
  if (runner !== undefined && isAlive(runner) && environmentValue(runner.pid, MARK) === vmId) return runner;
  // We may have been killed between starting it and writing it down.
  return processesWithMark(MARK, vmId).find(({ pid }) => {
    const [option, value] = argumentsOf(pid).slice(-2);
    return option === '--dir' && value === folder && environmentValue(pid, RUN_MARK) === undefined;
  });
}
