/**
 * The secrets of a data folder, `<data folder>/secrets/<id>`, one file each, which only its owner can read. `candor dev` reads
 * them when a run starts; these are written beside it, so that the command needs no server, and a test holds the two together.
 */
import { chmod, mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { SecretId } from '../core/contract/agentParts.ts';
import { FileError, UsageError } from './errors.ts';
import { writeWhole } from './files.ts';

/** What an environment variable and a header can hold. */
const SECRET_BYTES_MAX = 64 * 1024;

const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;

export class SecretFiles {
  readonly #folder: string;

  constructor(dataDir: string) {
    this.#folder = path.join(dataDir, 'secrets');
  }

  /** @throws UsageError for what cannot be an id */
  check(id: string): void {
    this.#fileOf(id);
  }

  /** @throws UsageError for an id or a value that cannot be one, FileError */
  async write(id: string, value: string): Promise<void> {
    const file = this.#fileOf(id);
    const fault = valueFault(value);
    if (fault !== undefined) throw new UsageError(`The value ${fault}.`);
    try {
      await mkdir(this.#folder, { recursive: true, mode: PRIVATE_FOLDER });
      await chmod(this.#folder, PRIVATE_FOLDER);
    } catch (error) {
      throw new FileError(this.#folder, error, { remedy: REMEDY });
    }
    await writeWhole(file, value, PRIVATE_FILE);
  }

  /** Their ids, never their values. @throws FileError */
  async list(): Promise<readonly string[]> {
    try {
      return (await readdir(this.#folder)).filter((name) => SecretId.safeParse(name).success).sort();
    } catch (error) {
      if (isAbsent(error)) return [];
      throw new FileError(this.#folder, error, { remedy: REMEDY });
    }
  }

  /** Answers whether there was one. @throws UsageError, FileError */
  async remove(id: string): Promise<boolean> {
    const file = this.#fileOf(id);
    try {
      await rm(file);
      return true;
    } catch (error) {
      if (isAbsent(error)) return false;
      throw new FileError(file, error, { remedy: REMEDY });
    }
  }

  #fileOf(id: string): string {
    const checked = SecretId.safeParse(id);
    if (!checked.success) throw new UsageError(`The id ${checked.error.issues[0]?.message ?? 'is not valid'}.`);
    return path.join(this.#folder, id);
  }
}

const REMEDY = 'Name the data folder of your server with --data-dir, or make this one yours.';

function valueFault(value: string): string | undefined {
  if (value === '') return 'is empty';
  if (value.includes('\0')) return 'holds a NUL, which no environment variable can';
  if (Buffer.byteLength(value) > SECRET_BYTES_MAX) return `is longer than ${SECRET_BYTES_MAX} bytes`;
  return undefined;
}

const isAbsent = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
