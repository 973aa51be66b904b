/**
 * What runners store of their work: captured output in numbered chunks, and files; and the object store that takes them.
 * Requests are sent again, come twice, and come when the attempt is long over.
 */

import type { Artifact } from '../../core/contract/runner.ts';
import { CandorError, ChunkConflict, isRetryable } from '../../core/errors.ts';
import type { ArtifactStore, LogAddress, LogRecord, LogStore, Ports } from '../../core/ports.ts';
import { storeArtifact, storeChunk } from '../../core/runs/deposits.ts';
import { readArtifact, readRunLogs } from '../../core/runs/reading.ts';
import { type Address, keyOf } from '../../runner/state.ts';
import { READ_FAULTS, WRITE_FAULTS } from './faults.ts';
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
/** The work is over by then, mostly. */
const READ_AFTER_MS = 900_000;
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

  /** Up to the first one that is not there. */
  readChunks(address: LogAddress, from: number, maxChunks: number) {
    const records: LogRecord[] = [];
    let next = from;
    for (; next < from + maxChunks; next++) {
      const text = this.chunks.get(chunkKey(address, next));
      if (text === undefined) break;
      records.push(...(JSON.parse(text) as LogRecord[]));
    }
    return { records, next };
  }
}

export const textOf = (address: Address, chunk: number): string => `chunk ${chunk} of ${keyOf(address)}`;

const fileUrl = ({ runId, attempt }: Address, { sha256 }: Pick<Artifact, 'sha256'>): string =>
  `${runId} ${attempt} ${sha256}`;

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
      read: (address, from, maxChunks) =>
        own.current.call(world.site(own.current, 'logs.read', READ_FAULTS), S3, () =>
          world.objects.readChunks(address, from, maxChunks),
        ),
    },
    artifacts: {
      // An address that is signed on the spot, which is computed and no call: whoever has it stores there what he was allowed.
      put: async (address, artifact) => ({ kind: 'elsewhere', url: fileUrl(address, artifact) }),
      get: (address, artifact) =>
        own.current.call(world.site(own.current, 'artifacts.get', READ_FAULTS), S3, () => {
          const url = fileUrl(address, artifact);
          return world.objects.files.get(url) === artifact.bytes ? { kind: 'elsewhere', url } : undefined;
        }),
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
      const records = [{ atMs: chunk, stream: 'stdout' as const, text: textOf(this.#address, chunk) }];
      const stored = await this.#untilTaken((ports, identity) =>
        storeChunk(ports, identity, this.#address, chunk, records),
      );
      if (stored === undefined) return;
      await this.#readLog(chunk + 1);
    }
  }

  /** Somebody follows it: what is stored is shown, in its order. */
  async #readLog(stored: number): Promise<void> {
    const { runId, attempt } = this.#address;
    const run = this.#world.checker.runs.rows.get(runId);
    if (run === undefined) return;
    const read = await this.#world.invoke('api.read_log', (ports) => readRunLogs(ports, run, runId, { attempt }));
    if (read.kind === 'answered') this.#world.checker.deposits.logRead(this.#address, stored, read.value.items);
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
    this.#machine.stored(this.#address, artifact);
    await time.sleep(random.spread(10_000, READ_AFTER_MS));
    await this.#readFile(artifact);
  }

  /** Only what the run's outcome names can be read. */
  async #readFile(artifact: Artifact): Promise<void> {
    const { runId, attempt } = this.#address;
    const run = this.#world.checker.runs.rows.get(runId);
    if (run === undefined) return;
    const read = await this.#world.invoke('api.read_file', (ports) => readArtifact(ports, run, runId, artifact.path));
    const { checker } = this.#world;
    if (read.kind === 'answered') checker.deposits.fileRead(runId, read.value, fileUrl({ runId, attempt }, artifact));
    else if (read.kind === 'threw') checker.deposits.fileNotRead(this.#address, artifact, read.error);
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
