/** What a VM that is gone has left to say: its runner's journal and its shims' reports, read by the runner's own code. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as z from 'zod';
import { RegistryEntry } from '../../core/contract/runner.ts';

const PROGRAM = fileURLToPath(new URL('../../runner/sayLastWords.ts', import.meta.url));
const TIME_LIMIT_MS = 60_000;
/** Outcomes carry outputs. */
const BYTES_MAX = 256 * 1024 * 1024;

/**
 * In a process of its own, as is all of the runner's code, but without the mark of the VM: it is none of its processes.
 * @throws if it cannot be read
 */
export async function readLastWords(
  folder: string,
  environment: NodeJS.ProcessEnv,
  command: readonly string[] = [process.execPath, PROGRAM],
): Promise<readonly RegistryEntry[]> {
  const [program = '', ...args] = command;
  const limits = { timeout: TIME_LIMIT_MS, killSignal: 'SIGKILL', maxBuffer: BYTES_MAX } as const;
  const { stdout } = await promisify(execFile)(program, [...args, folder], { ...limits, env: environment });
  return z.array(RegistryEntry).parse(JSON.parse(stdout));
}
