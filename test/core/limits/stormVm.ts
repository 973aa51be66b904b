/** A VM in the storm: its runner registers, carries out what it is told, and may die at any moment. */
import type { RegistryEntry, RunnerCommand } from '../../../core/contract/runner.ts';
import type { World } from '../../support/world.ts';
import { FakeRunner } from '../support.ts';
import type { Storm } from './storm.ts';

interface Work {
  readonly entry: RegistryEntry;
  /** Heartbeats until it ends. */
  left: number;
}

/** What the runner of a VM is asked of by a {@link Storm}. */
type Weather = Pick<Storm, 'ports' | 'random' | 'chance' | 'count'>;

export class StormVm {
  alive = true;
  readonly vmId: string;
  readonly #weather: Weather;
  readonly #runner: FakeRunner;
  readonly #work = new Map<string, Work>();
  /** Runs whose start came after their end was asked for. */
  readonly #tombstones = new Set<string>();
  #beating = false;
  #stopping = false;

  constructor(weather: Weather, tenantId: string, vmId: string) {
    this.#weather = weather;
    this.vmId = vmId;
    // Of the world a runner uses its ports and its caller's tenant only.
    this.#runner = new FakeRunner(
      { ports: weather.ports, caller: { tenantId, principalId: '' } } as unknown as World,
      vmId,
    );
  }

  /** It has nothing to report: then it reports less often. */
  get idle(): boolean {
    return this.#runner.generation > 0 && this.#work.size === 0;
  }

  die(): void {
    this.alive = false;
  }

  /** One exchange with the server: a registration first. A VM never speaks twice at a time. */
  async beat(): Promise<void> {
    if (this.#beating) return;
    this.#beating = true;
    try {
      if (this.#stopping) return this.die();
      if (this.#runner.generation === 0) return await this.#runner.register();
      const answer = await this.#runner.beat(this.#report());
      if (!this.alive) return;
      for (const { runId, attempt } of answer.acknowledged)
        if (this.#work.get(runId)?.entry.attempt === attempt) this.#work.delete(runId);
      for (const command of answer.commands) this.#obey(command);
    } finally {
      this.#beating = false;
    }
  }

  #report(): readonly RegistryEntry[] {
    for (const [runId, work] of this.#work) {
      if (over(work.entry)) continue;
      work.left--;
      if (work.left <= 0) this.#work.set(runId, { left: 0, entry: { ...work.entry, ...this.#ending(work.entry) } });
    }
    return [...this.#work.values()].map(({ entry }) => entry);
  }

  #ending(entry: RegistryEntry): Partial<RegistryEntry> {
    if (entry.state === 'ending') return { state: 'ended', signal: 'SIGINT', terminatedBy: 'cancel', endedAgoMs: 1 };
    if (this.#weather.chance(0.03)) return { state: 'gone' };
    return { state: 'ended', exitCode: this.#weather.chance(0.1) ? 1 : 0, terminatedBy: 'self', endedAgoMs: 1 };
  }

  #obey(command: RunnerCommand): void {
    if (command.kind === 'stop-vm') {
      this.#stopping = true;
      return;
    }
    const { runId, attempt } = command;
    const key = `${runId} ${attempt}`;
    const work = this.#work.get(runId);
    if (command.kind === 'cancel') {
      if (work === undefined) this.#tombstones.add(key);
      else if (!over(work.entry)) this.#work.set(runId, { left: 1, entry: { ...work.entry, state: 'ending' } });
      return;
    }
    if (command.kind !== 'start') return;
    const refused = this.#tombstones.has(key) || this.#weather.chance(0.08);
    if (refused) this.#weather.count('starts refused');
    const state = refused ? 'not_started' : 'running';
    const entry: RegistryEntry = { runId, attempt, state, ...(!refused && { pid: 4711, startedAgoMs: 50 }) };
    this.#work.set(runId, { entry, left: 1 + Math.floor(this.#weather.random() * 4) });
  }
}

const over = ({ state }: RegistryEntry): boolean => ['ended', 'gone', 'not_started'].includes(state);
