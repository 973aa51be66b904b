/** Files that are whole or absent: nobody finds half of one under its name. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { CliError, FileError, UsageError } from './errors.ts';

/** What a file is made of: a text, or pieces that arrive one after the other. */
type Content = string | AsyncIterable<Uint8Array>;

/**
 * Writes a file under another name in the same folder, and gives it its own when all of it is on the disk.
 * @param mode permissions; default: what the process gives any new file
 * @throws FileError; what the content throws, with nothing left behind
 */
export async function writeWhole(file: string, content: Content, mode = 0o666): Promise<void> {
  const temporary = path.join(path.dirname(file), `.candor-${randomBytes(6).toString('hex')}.tmp`);
  const handle = await open(temporary, 'wx', mode).catch((error: unknown) => {
    throw new FileError(file, error);
  });
  try {
    await written(handle, content);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error instanceof CliError ? error : new FileError(file, error);
  }
}

async function written(handle: FileHandle, content: Content): Promise<void> {
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Where a download goes: what is there already is replaced, behind a symbolic link too, if it is a plain file.
 * @throws UsageError for a folder, a device, or a name in a folder that is not there
 */
export async function downloadTarget(file: string): Promise<string> {
  const there = await stat(file).catch(() => undefined);
  if (there === undefined) {
    const folder = await stat(path.dirname(file)).catch(() => undefined);
    if (folder?.isDirectory() === true) return file;
    throw new UsageError(`There is no folder ${path.dirname(file)}.`, { remedy: 'Make it, or name another file.' });
  }
  if (there.isDirectory()) throw new UsageError(`${file} is a folder.`, { remedy: 'Name a file in it.' });
  // Renaming a file over a device would remove the device.
  if (!there.isFile())
    throw new UsageError(`${file} is no plain file.`, { remedy: 'Leave -o out, and redirect the output there.' });
  return realpath(file);
}
