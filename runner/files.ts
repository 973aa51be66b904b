/** Files that are whole or absent, whatever moment the power goes. */
import fs from 'node:fs';
import path from 'node:path';

/** Makes the names in a folder as durable as their contents. */
export const syncFolder = (folder: string): void => syncFile(folder);

export function syncFile(file: string): void {
  const fd = fs.openSync(file, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

export function writeSynced(file: string, content: string | Buffer): void {
  const fd = fs.openSync(file, 'w', 0o600);
  try {
    fs.writeFileSync(fd, content);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Replaces a file as a whole: a reader sees the old content or the new one, also after a crash. */
export function writeAtomically(file: string, content: string | Buffer): void {
  writeSynced(`${file}.tmp`, content);
  fs.renameSync(`${file}.tmp`, file);
  syncFolder(path.dirname(file));
}

/** Creates a file with its content, in one step. Answers false, and changes nothing, if it is there already. */
export function createExclusively(file: string, content: string): boolean {
  const own = `${file}.${process.pid}`;
  try {
    writeSynced(own, content);
    return linkExclusively(own, file);
  } finally {
    fs.rmSync(own, { force: true });
  }
}

/** Gives a file that is there another name. Answers false, and changes nothing, if that is taken. */
export function linkExclusively(from: string, file: string): boolean {
  try {
    fs.linkSync(from, file);
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  }
  syncFolder(path.dirname(file));
  return true;
}

/** The file's JSON, or undefined if it is absent or not (yet) JSON. */
export function readJson(file: string): unknown {
  const text = readText(file);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The file's text, or undefined if it cannot be read. */
export function readText(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

export const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && (error as NodeJS.ErrnoException).code === code;
