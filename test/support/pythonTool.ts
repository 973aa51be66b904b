/** Puts a pinned tool that is written in Python into an environment of its own, in the ignored folder `.tools/`. Once per pin. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const INSTALL_LIMIT_MS = 10 * 60_000;
const PYTHON_OLDEST = [3, 11] as const;

/** Something about this machine keeps the tool from being installed or started; says what to do about it. */
export class ToolSetupError extends Error {
  constructor(problem: string, remedy: string, cause?: unknown) {
    super(`${problem}\n  ${remedy}`, { cause });
    this.name = 'ToolSetupError';
  }
}

export interface Installed {
  readonly folder: string;
  readonly python: string;
  /** As pinned, for the report. */
  readonly version: string;
}

/**
 * Installs a tool, or finds it installed already.
 * @param name of its package, which the requirements pin
 * @param requirementsFile every package that it needs: exact versions, each file by its hash
 * @param say is told of each step that takes time
 * @throws ToolSetupError where Python is missing or too old, or the packages cannot be had
 */
export async function installPythonTool(
  name: string,
  requirementsFile: string,
  say: (line: string) => void,
): Promise<Installed> {
  const requirements = fs.readFileSync(requirementsFile, 'utf8');
  const version = new RegExp(`^${name}==(\\S+)`, 'm').exec(requirements)?.[1];
  if (version === undefined) throw new Error(`${requirementsFile} does not pin ${name}`);
  const digest = createHash('sha256').update(requirements).digest('hex');
  // A folder per pin: another branch with another pin on the same machine has its own.
  const folder = path.join(ROOT, '.tools', `${name}-${version}-${digest.slice(0, 12)}`);
  const installed = { folder, python: path.join(folder, 'bin/python'), version };
  const stamp = path.join(folder, 'installed');
  if (fs.existsSync(stamp)) return installed;

  const python = await findPython(name);
  say(`installing ${name} ${version} into ${path.relative(ROOT, folder)} (once)`);
  // What an interrupted installation has left behind is not trusted.
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(path.dirname(folder), { recursive: true });
  await run(python, ['-m', 'venv', folder]).catch((error: unknown) => {
    throw new ToolSetupError(
      'a Python environment cannot be made',
      'Install Python\'s venv module (Debian and Ubuntu: the package "python3-venv").',
      error,
    );
  });
  const pip = ['-m', 'pip', 'install', '--disable-pip-version-check', '--quiet', '--no-deps', '--require-hashes'];
  await run(installed.python, [...pip, '--only-binary', ':all:', '-r', requirementsFile], {
    timeout: INSTALL_LIMIT_MS,
  }).catch((error: unknown) => {
    const detail = (error as { stderr?: string }).stderr?.trim() ?? String(error);
    throw new ToolSetupError(
      `the packages of ${name} cannot be installed: ${detail}`,
      'The machine must reach a Python package index, and its Python be one that requirements.txt names.',
      error,
    );
  });
  fs.writeFileSync(stamp, `${digest}\n`);
  return installed;
}

async function findPython(name: string): Promise<string> {
  const wanted = PYTHON_OLDEST.join('.');
  const remedy = `Install Python ${wanted} or newer, so that \`python3\` starts it.`;
  const { stdout } = await run('python3', ['-c', 'import sys; print(*sys.version_info[:2])']).catch(
    (error: unknown) => {
      throw new ToolSetupError(`there is no python3 on this machine, and ${name} is written in it`, remedy, error);
    },
  );
  const [major = 0, minor = 0] = stdout.trim().split(' ').map(Number);
  if (major < PYTHON_OLDEST[0] || (major === PYTHON_OLDEST[0] && minor < PYTHON_OLDEST[1]))
    throw new ToolSetupError(`python3 is ${major}.${minor}, which is too old for ${name}`, remedy);
  return 'python3';
}
