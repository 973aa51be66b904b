/**
 * What a runner stores of a run besides its outcome: captured output, and files. It may do so for the attempt that its
 * VM holds, until that has ended (I7), and within bounds that are kept here, whatever the runner itself keeps to.
 */
import { ARTIFACTS_MAX, type Artifact } from '../contract/runner.ts';
import { isTerminal } from '../contract/runs.ts';
import { CandorError, InvalidRequest, NotFound } from '../errors.ts';
import type { LogAddress, LogRecord, Ports, TokenClaims } from '../ports.ts';
import { commit } from '../table/commit.ts';
import * as keys from '../table/itemKeys.ts';
import { absent, eq, guard, type Key } from '../table/model.ts';
import { asItem, asRow, type RowBase, SCHEMA_VERSION } from '../table/rows.ts';
import type { VmRow } from '../vms/model.ts';
import { checkToken } from '../vms/runnerToken.ts';
import type { RunRow } from './model.ts';

type Identity = Extract<TokenClaims, { kind: 'vm' }>;

export interface AttemptName {
  readonly runId: string;
  readonly attempt: number;
}

/** How much of an attempt's log is stored: all chunks below `chunks`. */
interface LogCountRow extends RowBase {
  readonly chunks: number;
  readonly bytes: number;
  readonly writer: string;
}

/** The files that an attempt may store, or has stored. The same content counts once. */
interface FilesRow extends RowBase {
  readonly count: number;
  readonly files: readonly Pick<Artifact, 'sha256' | 'bytes'>[];
  readonly writer: string;
}

/** For what the runner says in Candor's own name: it does not count against the limit that the runner keeps to. */
const OWN_WORDS_BYTES = 1024 * 1024;

/**
 * Chunks come in order, so that what is stored is what is counted, but for one. The last one may be sent again.
 * @throws NotFound unless the VM holds the attempt; CandorError `stale_generation`, `unauthenticated`, `illegal_transition`, `run_ended`,
 * `chunk_conflict`, `payload_too_large`; InvalidRequest for a chunk out of order
 */
export async function storeChunk(
  ports: Ports,
  identity: Identity,
  name: AttemptName,
  chunk: number,
  records: readonly LogRecord[],
): Promise<void> {
  const key = keys.runLogCount(name.runId, name.attempt);
  const { address, row } = await depositable<LogCountRow>(ports, identity, name, key);
  const stored = row?.chunks ?? 0;
  if (chunk > stored)
    throw new InvalidRequest(
      `Chunk ${chunk} was sent where chunk ${stored} is the next.`,
      [{ pointer: 'chunk', message: `must be at most ${stored}` }],
      'Send the chunks one after the other.',
    );
  const bytes = (row?.bytes ?? 0) + contentBytes(records);
  if (chunk === stored) checkLogRoom(ports, chunk, bytes);
  // Counted when it is there: one that was not stored, or not counted, is sent again.
  await ports.logs.putChunk(address, chunk, records);
  if (chunk === stored) await countChunk(ports, identity, key, { chunks: chunk + 1, bytes });
}

function countChunk(
  ports: Ports,
  { tenantId }: Identity,
  key: Key,
  counted: Pick<LogCountRow, 'chunks' | 'bytes'>,
): Promise<void> {
  return commit<void>(ports, async (writer) => {
    const row = asRow<LogCountRow>(await ports.store.get(key));
    const stored = row?.chunks ?? 0;
    if (stored >= counted.chunks) return { done: undefined };
    const after: LogCountRow = { ...key, schemaVersion: SCHEMA_VERSION, tenantId, ...counted, writer };
    const inOrder = row === undefined ? absent : eq('chunks', stored);
    return {
      writes: [{ kind: 'put', item: asItem(after), guards: [guard('log.inOrder', inOrder)] }],
      proof: key,
      result: undefined,
    };
  });
}

function checkLogRoom({ config }: Ports, chunk: number, bytes: number): void {
  if (chunk >= config.maxLogChunks)
    throw new CandorError('payload_too_large', `The log of this attempt has ${chunk} chunks.`, {
      remedy: `A log may have at most ${config.maxLogChunks} chunks.`,
    });
  if (bytes > config.maxLogBytes + OWN_WORDS_BYTES)
    throw new CandorError('payload_too_large', `The log of this attempt would have ${bytes} bytes.`, {
      remedy: `A log may have at most ${config.maxLogBytes} bytes.`,
    });
}

/** Of the output itself. A record counts even if it is empty, so that the number of records has a bound too. */
const contentBytes = (records: readonly LogRecord[]): number =>
  records.reduce((sum, { text, base64 }) => sum + Math.max(1, Buffer.byteLength(base64 ?? text ?? '')), 0);

/**
 * Without a body it only says where the bytes are wanted.
 * @throws NotFound unless the VM holds the attempt; CandorError `stale_generation`, `unauthenticated`, `illegal_transition`, `run_ended`,
 * `payload_too_large`; what {@link Ports.artifacts} throws
 */
export async function storeArtifact(
  ports: Ports,
  identity: Identity,
  name: AttemptName,
  artifact: Artifact,
  body: ReadableStream<Uint8Array> | undefined,
): ReturnType<Ports['artifacts']['put']> {
  const key = keys.runFiles(name.runId, name.attempt);
  const { address, row } = await depositable<FilesRow>(ports, identity, name, key);
  filesWith(ports, row, artifact);
  if (body !== undefined) {
    await countFile(ports, identity, key, artifact);
    return ports.artifacts.put(address, artifact, body);
  }
  const answer = await ports.artifacts.put(address, artifact, undefined);
  // A way to store it elsewhere is the last that is seen of it here. What is to come here is counted when it comes.
  if (answer.kind === 'elsewhere') await countFile(ports, identity, key, artifact);
  return answer;
}

/** Before the bytes come: where they go elsewhere, nobody here sees them come. */
function countFile(ports: Ports, { tenantId }: Identity, key: Key, artifact: Artifact): Promise<void> {
  return commit<void>(ports, async (writer) => {
    const row = asRow<FilesRow>(await ports.store.get(key));
    const files = filesWith(ports, row, artifact);
    if (files === row?.files) return { done: undefined };
    const after: FilesRow = { ...key, schemaVersion: SCHEMA_VERSION, tenantId, count: files.length, files, writer };
    const asRead = row === undefined ? absent : eq('count', row.count);
    return {
      writes: [{ kind: 'put', item: asItem(after), guards: [guard('files.asRead', asRead)] }],
      proof: key,
      result: undefined,
    };
  });
}

/** The same files where it is among them. @throws CandorError `payload_too_large` */
function filesWith(ports: Ports, row: FilesRow | undefined, { sha256, bytes }: Artifact): FilesRow['files'] {
  const files = row?.files ?? [];
  if (files.some((file) => file.sha256 === sha256 && file.bytes === bytes)) return files;
  const more = [...files, { sha256, bytes }];
  checkFileRoom(ports, more);
  return more;
}

function checkFileRoom({ config }: Ports, files: readonly Pick<Artifact, 'bytes'>[]): void {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  if (bytes > config.maxArtifactBytes)
    throw new CandorError('payload_too_large', `The artifacts of this attempt would have ${bytes} bytes together.`, {
      remedy: `A run's artifacts may have at most ${config.maxArtifactBytes} bytes together.`,
    });
  if (files.length > ARTIFACTS_MAX)
    throw new CandorError('payload_too_large', `The attempt would have ${files.length} artifacts.`, {
      remedy: `A run may have at most ${ARTIFACTS_MAX} artifacts.`,
    });
}

/** The attempt as an address, if this VM, in this registration, may still add to it; and what is counted of it. */
async function depositable<Row extends RowBase>(
  ports: Ports,
  identity: Identity,
  { runId, attempt }: AttemptName,
  counted: Key,
): Promise<{ readonly address: LogAddress; readonly row: Row | undefined }> {
  const found = await ports.store.getMany([keys.run(runId), keys.vm(identity.vmId), counted]);
  const run = asRow<RunRow>(found[0]);
  if (run?.tenantId !== identity.tenantId || run.vmId !== identity.vmId || run.attempt !== attempt)
    throw new NotFound('run', runId);
  checkIdentity(asRow<VmRow>(found[1]), identity);
  // What comes late is evidence where the end is not known, and only there.
  if (isTerminal(run.status) && (run.status !== 'lost' || run.correction !== undefined))
    throw new CandorError('run_ended', `Run ${runId} has ended: it is ${run.status}.`, {
      remedy: 'Keep what you have; nothing is added to a run that has ended.',
    });
  return { address: { tenantId: run.tenantId, runId, attempt }, row: asRow<Row>(found[2]) };
}

function checkIdentity(vm: VmRow | undefined, identity: Identity): void {
  if (vm === undefined || vm.tenantId !== identity.tenantId) throw new NotFound('VM', identity.vmId);
  checkToken(vm, identity);
}
