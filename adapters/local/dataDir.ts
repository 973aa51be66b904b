/** The folder in which one machine keeps everything: who it is, its keys, its table, its VMs and its logs. */
import { randomBytes, randomUUID } from 'node:crypto';
import { access, chmod, constants, realpath, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { hasCode, makePrivateFolder, readIfThere, writeAtomically } from './files.ts';
import { LocalSetupError } from './setupError.ts';

const SCHEMA_VERSION = 1;

const ServerFile = z.object({
  schemaVersion: z.literal(SCHEMA_VERSION),
  /** Kept over restarts, so that runners and `CANDOR_URL` find the server again. */
  port: z.int().min(1).max(65_535).optional(),
  /** The bearer token of whoever owns this folder. */
  token: z.string().min(32),
  /** base64url of the key that signs the tokens of runners and runs. */
  signingKey: z.string().min(43),
  /** The one before it: what it has signed is good until it expires. */
  previousSigningKey: z.string().min(43).optional(),
  /** base64url of the key that seals webhooks' secrets. Absent in folders of before there were any: then it is made. */
  sealingKey: z.string().min(43).optional(),
  installationId: z.string().min(1),
  createdAt: z.iso.datetime(),
});

/** What `server.json` holds. */
export type ServerFile = z.infer<typeof ServerFile>;

/** What `endpoint.json` holds while the server is ready: all that a client on this machine needs. */
export interface Endpoint {
  readonly url: string;
  readonly token: string;
  readonly pid: number;
}

export interface DataDir {
  /** The folder's real path: it does not change with symbolic links or the working directory. */
  readonly path: string;
  /** The table's file. */
  readonly databasePath: string;
  server(): ServerFile & { readonly sealingKey: string };
  rememberPort(port: number): Promise<void>;
  /** Tells clients where the server is. To be called when it is ready, and not before. */
  publishEndpoint(endpoint: Endpoint): Promise<void>;
  /** To be called at a clean stop. A file of another process is left alone. */
  removeEndpoint(pid: number): Promise<void>;
}

/**
 * Makes sure that the folder is there, is ours alone and can be written, and answers its real path: what the lock is taken on.
 * @throws LocalSetupError that names the folder and what is wrong with it
 */
export async function prepareDataDir(dataDir: string): Promise<string> {
  const remedy = 'Name another folder with --data-dir, or make this one writable.';
  try {
    await makePrivateFolder(dataDir);
    const folder = await realpath(dataDir);
    if (!(await stat(folder)).isDirectory()) throw new LocalSetupError(`${dataDir} is a file, not a folder`, remedy);
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    // A folder that was there before may be open to others, and the keys lie in it.
    await chmod(folder, 0o700);
    return folder;
  } catch (error) {
    if (error instanceof LocalSetupError) throw error;
    if (hasCode(error, 'EEXIST', 'ENOTDIR'))
      throw new LocalSetupError(`the data folder ${dataDir} cannot be made: a file is in its place`, remedy, error);
    const reason = error instanceof Error ? error.message : String(error);
    throw new LocalSetupError(`the data folder ${dataDir} cannot be used: ${reason}`, remedy, error);
  }
}

export interface OpenOptions {
  /** Sign with a new key from now on, and let the present one verify until the next time. */
  readonly rotateSigningKey?: boolean;
}

/**
 * Opens the folder, or sets it up. The caller holds its lock: two that set up one folder would each make keys.
 * @throws LocalSetupError when the folder is not usable, its `server.json` is damaged, or a newer Candor wrote it
 */
export async function openDataDir(dataDir: string, nowMs: number, options: OpenOptions = {}): Promise<DataDir> {
  const folder = await prepareDataDir(dataDir);
  const serverPath = path.join(folder, 'server.json');
  const endpointPath = path.join(folder, 'endpoint.json');
  let server = await readServerFile(serverPath);
  if (server === undefined) {
    server = newServerFile(nowMs);
    await writeAtomically(serverPath, asJson(server));
  }
  const { sealingKey, signingKey } = server;
  let current = {
    ...server,
    sealingKey: sealingKey ?? newKey(),
    ...(options.rotateSigningKey && { signingKey: newKey(), previousSigningKey: signingKey }),
  };
  if (sealingKey === undefined || options.rotateSigningKey) await writeAtomically(serverPath, asJson(current));
  return {
    path: folder,
    databasePath: path.join(folder, 'table.db'),
    server: () => current,
    async rememberPort(port) {
      if (current.port === port) return;
      current = { ...current, port };
      await writeAtomically(serverPath, asJson(current));
    },
    publishEndpoint: (endpoint) => writeAtomically(endpointPath, asJson(endpoint)),
    async removeEndpoint(pid) {
      const text = await readIfThere(endpointPath);
      if (text !== undefined && !belongsToAnother(text, pid)) await rm(endpointPath, { force: true });
    },
  };
}

const asJson = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;

const newKey = () => randomBytes(32).toString('base64url');

const newServerFile = (nowMs: number): ServerFile => ({
  schemaVersion: SCHEMA_VERSION,
  token: newKey(),
  signingKey: newKey(),
  sealingKey: newKey(),
  installationId: randomUUID(),
  createdAt: new Date(nowMs).toISOString(),
});

async function readServerFile(file: string): Promise<ServerFile | undefined> {
  const text = await readIfThere(file);
  if (text === undefined) return undefined;
  const content = parseJson(text);
  const version = z.object({ schemaVersion: z.int() }).safeParse(content).data?.schemaVersion;
  if (version !== undefined && version > SCHEMA_VERSION) {
    throw new LocalSetupError(
      `${file} has schema version ${version}, and this Candor knows versions up to ${SCHEMA_VERSION}: a newer Candor has used this folder`,
      'Run the newer Candor, or name another folder with --data-dir.',
    );
  }
  const parsed = ServerFile.safeParse(content);
  if (parsed.success) return parsed.data;
  throw new LocalSetupError(
    `${file} is damaged: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`,
    'Restore the file from a backup. Without it the runners of this folder cannot be recognised; to start afresh, name another folder with --data-dir.',
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const belongsToAnother = (text: string, pid: number): boolean => {
  const owner = z.object({ pid: z.int() }).safeParse(parseJson(text)).data?.pid;
  return owner !== undefined && owner !== pid;
};
