/** Secrets of one machine: `<data dir>/secrets/<id>`, one file each, which only its owner can read. */
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { SecretId } from '../../core/contract/agentParts.ts';
import type { Secrets } from '../../core/ports.ts';
import { hasCode, makePrivateFolder, readIfThere, writeAtomically } from './files.ts';

/** What an environment variable and a header can hold. */
const SECRET_BYTES_MAX = 64 * 1024;

export class FileSecrets implements Secrets {
  readonly #folder: string;

  constructor(options: { readonly dataDir: string }) {
    this.#folder = path.join(options.dataDir, 'secrets');
  }

  /** One machine has one tenant. */
  async read(_tenantId: string, id: string): Promise<string | undefined> {
    return SecretId.safeParse(id).success ? readIfThere(path.join(this.#folder, id)) : undefined;
  }

  /** @throws RangeError with a line for whoever typed it */
  async write(id: string, value: string): Promise<void> {
    const checked = SecretId.safeParse(id);
    if (!checked.success) throw new RangeError(`The id ${checked.error.issues[0]?.message ?? 'is not valid'}.`);
    if (value === '') throw new RangeError('The value is empty.');
    if (value.includes('\0')) throw new RangeError('The value holds a NUL, which no environment variable can.');
    if (Buffer.byteLength(value) > SECRET_BYTES_MAX)
      throw new RangeError(`The value is longer than ${SECRET_BYTES_MAX} bytes.`);
    await makePrivateFolder(this.#folder);
    await writeAtomically(path.join(this.#folder, id), value);
  }

  /** Answers whether there was one. */
  async remove(id: string): Promise<boolean> {
    if ((await this.read('', id)) === undefined) return false;
    await rm(path.join(this.#folder, id), { force: true });
    return true;
  }

  /** Their ids, never their values. */
  async list(): Promise<readonly string[]> {
    try {
      return (await readdir(this.#folder)).filter((name) => !name.endsWith('.tmp')).sort();
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return [];
      throw error;
    }
  }
}
