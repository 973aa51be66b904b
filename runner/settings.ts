/** The one place where the runner's arguments, environment and `runner.json` are read. */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { readJson } from './files.ts';
import { lookUpUser, type RunAs } from './runAs.ts';

/** All that an agent gets to see of the runner's own environment. */
const BASE_VARIABLES = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR', 'USER'] as const;

export interface Settings {
  readonly vmDir: string;
  readonly baseEnvironment: Readonly<Record<string, string>>;
  readonly compileCache: string | undefined;
  /** Who the agents' processes are; absent: whoever the runner is. */
  readonly runAs?: RunAs;
  /** Of the instance metadata service, where the VM is an EC2 instance. */
  readonly metadataEndpoint: string;
  /** Touched whenever the server has answered: the machine's own dead-man timer looks at it. */
  readonly aliveFile?: string;
}

/** Who this VM is and where it reports. Written by the fleet, which may change it: the server's port, say. */
export interface Identity {
  readonly vmId: string;
  readonly url: string;
  /** What proves that this VM registers; empty on EC2, where {@link Identity.sign} does. */
  readonly key: string;
  /** Only of an EC2 instance. */
  readonly region?: string;
  /** The headers that prove it, for this one request. @throws if there are no credentials just now */
  readonly sign?: (url: string, method: string, body: string | Buffer) => Promise<Readonly<Record<string, string>>>;
  /** Without an answer for so long the runner ends all work and powers the VM off; never, if it is absent. */
  readonly selfDestructSeconds?: number;
}

/** By AWS's documentation; another one is for tests. */
const METADATA_ENDPOINT = 'http://169.254.169.254';

const USAGE = `usage: node runner/main.ts --dir <folder of the VM> [options]

  --agent-user USER  the user that agents' processes run as; needs root
  --alive-file FILE  touched with each answer of the server, for the machine's dead-man timer`;

/** @throws with a line for the operator if an argument is missing or unknown */
export function readSettings(): Settings {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { dir: text, 'agent-user': text, 'alive-file': text } });
  const { dir, 'agent-user': agentUser, 'alive-file': aliveFile } = values;
  if (dir === undefined) throw new Error(USAGE);
  if (agentUser !== undefined && process.getuid?.() !== 0) throw new Error('--agent-user needs root');
  const present = BASE_VARIABLES.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    vmDir: path.resolve(dir),
    baseEnvironment: Object.fromEntries(present),
    compileCache: process.env.NODE_COMPILE_CACHE,
    metadataEndpoint: process.env.CANDOR_IMDS ?? METADATA_ENDPOINT,
    ...(agentUser !== undefined && { runAs: lookUpUser(agentUser) }),
    ...(aliveFile !== undefined && { aliveFile: path.resolve(aliveFile) }),
  };
}

/** The identity as it stands in the VM's folder now, or undefined if it is not there or not whole. */
export function readIdentity(vmDir: string): Identity | undefined {
  const value = readJson(path.join(vmDir, 'runner.json'));
  if (typeof value !== 'object' || value === null) return undefined;
  const { vmId, url, key, region, selfDestructSeconds } = value as Partial<Record<keyof Identity, unknown>>;
  if (typeof vmId !== 'string' || typeof url !== 'string' || typeof key !== 'string') return undefined;
  const limited = typeof selfDestructSeconds === 'number' && selfDestructSeconds > 0;
  return {
    vmId,
    url: url.replace(/\/+$/, ''),
    key,
    ...(typeof region === 'string' && { region }),
    ...(limited && { selfDestructSeconds }),
  };
}
