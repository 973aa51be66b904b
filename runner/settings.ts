/** The one place where the runner's arguments, environment and `runner.json` are read. */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { readJson } from './files.ts';

/** All that an agent gets to see of the runner's own environment. */
const BASE_VARIABLES = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR', 'USER'] as const;

export interface Settings {
  readonly vmDir: string;
  readonly baseEnvironment: Readonly<Record<string, string>>;
  readonly compileCache: string | undefined;
}

/** Who this VM is and where it reports. Written by the fleet, which may change it: the server's port, say. */
export interface Identity {
  readonly vmId: string;
  readonly url: string;
  readonly key: string;
  /** Without an answer for so long the runner ends all work and powers the VM off; never, if it is absent. */
  readonly selfDestructSeconds?: number;
}

/** @throws with a line for the operator if an argument is missing or unknown */
export function readSettings(): Settings {
  const { values } = parseArgs({ options: { dir: { type: 'string' } } });
  if (values.dir === undefined) throw new Error('usage: node runner/main.ts --dir <folder of the VM>');
  const present = BASE_VARIABLES.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    vmDir: path.resolve(values.dir),
    baseEnvironment: Object.fromEntries(present),
    compileCache: process.env.NODE_COMPILE_CACHE,
  };
}

/** The identity as it stands in the VM's folder now, or undefined if it is not there or not whole. */
export function readIdentity(vmDir: string): Identity | undefined {
  const value = readJson(path.join(vmDir, 'runner.json'));
  if (typeof value !== 'object' || value === null) return undefined;
  const { vmId, url, key, selfDestructSeconds } = value as Partial<Record<keyof Identity, unknown>>;
  if (typeof vmId !== 'string' || typeof url !== 'string' || typeof key !== 'string') return undefined;
  const limited = typeof selfDestructSeconds === 'number' && selfDestructSeconds > 0;
  return { vmId, url: url.replace(/\/+$/, ''), key, ...(limited && { selfDestructSeconds }) };
}
