/** The real processes of one data folder, found in /proc by what they carry; Candor is not asked. */
import fs from 'node:fs';
import path from 'node:path';

export type Role = 'control' | 'engine' | 'runner' | 'shim' | 'agent';

export interface Found {
  readonly pid: number;
  readonly role: Role;
  readonly vmId?: string;
  readonly runId?: string;
  readonly attempt?: number;
}

function read(pid: number, name: string): readonly string[] {
  try {
    return fs.readFileSync(`/proc/${pid}/${name}`, 'utf8').split('\0').slice(0, -1);
  } catch {
    return [];
  }
}

function isAlive(pid: number): boolean {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !['Z', 'X'].includes(stat.charAt(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

/** `agent` is everything that carries the mark of a VM and is not Candor's own: the work and whatever it has started. */
export function processesOf(dataDir: string): readonly Found[] {
  return fs.readdirSync('/proc').flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid || !isAlive(pid)) return [];
    const found = identify(pid, dataDir);
    return found === undefined ? [] : [found];
  });
}

function identify(pid: number, dataDir: string): Found | undefined {
  const argv = read(pid, 'cmdline');
  const environment = read(pid, 'environ');
  const vmId = variable(environment, 'CANDOR_VM_ID');
  if (vmId === undefined) {
    if (argv.some((each) => each.endsWith('/candor.mjs')) && argv.includes(dataDir)) return { pid, role: 'control' };
    const isEngine = path.basename(argv[0] ?? '') === 'dynoxide' && argv.some((each) => each.startsWith(`${dataDir}/`));
    return isEngine ? { pid, role: 'engine' } : undefined;
  }
  if (!environment.some((each) => each.includes(`=${dataDir}/`))) return undefined;
  const runId = variable(environment, 'CANDOR_RUN_ID');
  const is = (file: string) => argv.some((each) => each.endsWith(`/runner/${file}`));
  return {
    pid,
    role: is('main.ts') ? 'runner' : is('shim.ts') ? 'shim' : 'agent',
    vmId,
    ...(runId !== undefined && { runId, attempt: Number(variable(environment, 'CANDOR_ATTEMPT')) }),
  };
}

const variable = (environment: readonly string[], name: string) =>
  environment.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1);

/** Where the engine of this data folder answers. */
export function engineEndpoint(dataDir: string): string | undefined {
  const engine = processesOf(dataDir).find(({ role }) => role === 'engine');
  if (engine === undefined) return undefined;
  const argv = read(engine.pid, 'cmdline');
  return `http://127.0.0.1:${argv[argv.indexOf('--port') + 1]}`;
}
