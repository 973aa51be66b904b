/**
 * What runners store of their work: captured output in numbered chunks, and files; and the object store that takes them.
 * Requests are sent again, come twice, and come when the attempt is long over.
 */
import { CandorError, ChunkConflict, isRetryable } from '../../core/errors.ts';
import type { ArtifactStore, LogAddress, LogRecord, LogStore, Ports } from '../../core/ports.ts';
import { storeArtifact, storeChunk } from '../../core/runs/deposits.ts';
import { type Address, keyOf } from '../../runner/state.ts';
import { WRITE_FAULTS } from './faults.ts';
import type { Failures, Outcome } from './incarnations.ts';
import type { Machine } from './machine.ts';
import { type Process, ServiceError } from './ports.ts';
import type { Simulation } from './world.ts';

export interface DepositWeather {
  /** Of the attempts: so many store something. */
  readonly share: number;
  /** That a request is sent a second time although nothing was wrong with the first. */
  readonly again: number;
}

export const NO_DEPOSITS: DepositWeather = { share: 0, again: 0 };

const TRIES = 5;
/** Where a limit is set for it, two of three files find room. */
const FILE_BYTES = 40;
export const FILES_BYTES_MAX = 100;

/** Objects under their keys, as S3 has them: a chunk is written once, a file is its content. */
export class ObjectStore {
  readonly chunks = new Map<string, string>();
  readonly files = new Map<string, number>();

  putChunk(address: LogAddress, chunk: number, records: readonly LogRecord[]): void {
    const key = chunkKey(address, chunk);
    const text = JSON.stringify(records);
    const there = this.chunks.get(key);
    if (there !== undefined && there !== text) throw new ChunkConflict(chunk);
    this.chunks.set(key, text);
  }
}

export const chunkKey = ({ runId, attempt }: Address, chunk: number): string => `${runId} ${attempt} ${chunk}`;

const S3: Failures = {
  unavailable: (why) => new ServiceError('TimeoutError', why),
  throttled: () => new ServiceError('SlowDown', 'Please reduce your request rate.', 503),
};

export function depositPorts(own: Process): { readonly logs: LogStore; readonly artifacts: ArtifactStore } {
  const { world } = own;
  return {
    logs: {
      putChunk: (address, chunk, records) =>
        own.current.call(world.site(own.current, 'logs.putChunk', WRITE_FAULTS), S3, () =>
          world.trace.answered([address, chunk, records], world.objects.putChunk(address, chunk, records)),
        ),
      read: async (_address, from) => ({ records: [], next: from }),
    },
    artifacts: {
      // An address that is signed on the spot: whoever has it stores there what he was allowed.
      put: async ({ runId, attempt }, { sha256 }) => ({ kind: 'elsewhere', url: `${runId} ${attempt} ${sha256}` }),
      get: async () => undefined,
    },
  };
}

/** From the beginning of an attempt's work on, side by side with it. */
export function deposit(machine: Machine, address: Address): void {
  const { random, weather } = machine.world;
  if (weather.deposits.share === 0 || !random.chance(weather.deposits.share)) return;
  const depositor = new Depositor(machine, address);
  void depositor.log(random.between(1, 3));
  for (let file = 0; file < 3; file++) if (random.chance(0.5)) void depositor.file(file);
}

class Depositor {
  readonly #machine: Machine;
  readonly #world: Simulation;
  readonly #address: Address;

  constructor(machine: Machine, address: Address) {
    this.#machine = machine;
    this.#world = machine.world;
    this.#address = address;
  }

  /** One chunk after the other, each until it is stored or not wanted. */
  async log(chunks: number): Promise<void> {
    const { time, random } = this.#world;
    for (let chunk = 0; chunk < chunks; chunk++) {
      await time.sleep(random.spread(100, 30_000));
      const records = [{ atMs: chunk, stream: 'stdout' as const, text: `chunk ${chunk} of ${keyOf(this.#address)}` }];
      const stored = await this.#untilTaken((ports, identity) =>
        storeChunk(ports, identity, this.#address, chunk, records),
      );
      if (stored === undefined) return;
    }
  }

  async file(file: number): Promise<void> {
    const { time, random, objects } = this.#world;
    await time.sleep(random.spread(100, 5000));
    const artifact = { path: `file-${file}`, bytes: FILE_BYTES, sha256: String(file).repeat(64) };
    const put = await this.#untilTaken((ports, identity) =>
      storeArtifact(ports, identity, this.#address, artifact, undefined),
    );
    if (put?.value.kind !== 'elsewhere') return;
    objects.files.set(put.value.url, artifact.bytes);
    this.#world.checker.deposits.fileStored(this.#address, artifact.sha256);
  }

  /** @returns undefined where it was refused for good, or nobody has answered */
  async #untilTaken<T>(
    send: (ports: Ports, identity: Parameters<typeof storeChunk>[1]) => Promise<T>,
  ): Promise<{ readonly value: T } | undefined> {
    const { time, random, weather } = this.#world;
    for (let tries = 0; tries < TRIES; tries++) {
      if (random.chance(weather.deposits.again)) time.after(random.spread(5, 60_000), () => void this.#once(send));
      const outcome = await this.#once(send);
      if (outcome.kind === 'answered') return { value: outcome.value };
      const { error } = outcome.kind === 'threw' ? outcome : { error: undefined };
      if (error instanceof CandorError && !isRetryable(error.code)) return undefined;
      await time.sleep(random.spread(50, 5000));
    }
    return undefined;
  }

  async #once<T>(send: (ports: Ports, identity: Parameters<typeof storeChunk>[1]) => Promise<T>): Promise<Outcome<T>> {
    const { world, vmId } = this.#machine;
    const { random, network, time } = world;
    if (!this.#machine.isOn || this.#machine.isCutOff || random.chance(network.lost)) return { kind: 'lost' };
    const vm = world.checker.vms.rows.get(vmId);
    if (vm === undefined) return { kind: 'lost' };
    const identity = { kind: 'vm', tenantId: vm.tenantId, vmId, generation: vm.generation } as const;
    if (random.chance(network.late)) await time.sleep(random.spread(1000, 600_000));
    return world.invoke('deposit', (ports) => send(ports, identity));
  }
}
