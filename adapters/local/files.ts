/** Small files that are whole or absent, and that only their owner can read. */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rename, rm } from 'node:fs/promises';

/** Replaces a file as a whole: a reader sees the old content or the new one, also if we are killed in between. */
export const writeAtomically = (file: string, content: string): Promise<void> =>
  withWritten(file, content, (written) => rename(written, file));

/**
 * Writes a file as a whole or not at all, and never over another one.
 * @returns false if there is one of this name already
 */
export async function writeOnce(file: string, content: string): Promise<boolean> {
  try {
    await withWritten(file, content, (written) => link(written, file));
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** The name is unique, so that two writers of one file cannot tear each other's temporary file. */
async function withWritten(file: string, content: string, publish: (written: string) => Promise<void>): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await publish(temporary);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** A folder that only its owner can enter. */
export async function makePrivateFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
}

/** The file's text, or undefined if there is no such file. */
export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Whether an error is one of the operating system's with this code, such as `ENOENT`. */
export const hasCode = (error: unknown, ...codes: readonly string[]): boolean =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code);
