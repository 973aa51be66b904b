/** Where the deployment's sources are, and where what is made of them goes. */
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** What is made for a deployment, under names that tell its content; ignored by git. */
export const BUILD = path.join(ROOT, 'dist', 'deploy');

/** Writes a file whose path tells its content: it is there whole or not at all, whoever else writes it just now. */
export function writeOnce(file: string, content: Uint8Array): void {
  if (existsSync(file)) return;
  mkdirSync(path.dirname(file), { recursive: true });
  const partial = `${path.dirname(file)}.${process.pid}.${path.basename(file)}`;
  writeFileSync(partial, content);
  renameSync(partial, file);
}
