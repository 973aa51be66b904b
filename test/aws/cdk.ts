/** The real CDK CLI, as a deployer runs it, with the emulator as its AWS. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ACCOUNT, type Emulator, REGION } from './emulator/start.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CDK = path.join(ROOT, 'node_modules/aws-cdk/bin/cdk');
const COMMAND_LIMIT_MS = 10 * 60_000;
export const ENVIRONMENT = 'emulator';
export const INSTALLATION = `candor-${ENVIRONMENT}`;

export type Outputs = Readonly<Record<string, Readonly<Record<string, string>>>>;

export class Cdk {
  readonly #emulator: Emulator;
  readonly #folder: string;
  readonly #running = new Set<() => void>();
  #aborted = false;

  /** @param folder for the assembly, the outputs and the log */
  constructor(emulator: Emulator, folder: string) {
    this.#emulator = emulator;
    this.#folder = folder;
  }

  get logFile(): string {
    return path.join(this.#folder, 'cdk.log');
  }

  get assembly(): string {
    return path.join(this.#folder, 'cdk.out');
  }

  async bootstrap(): Promise<void> {
    await this.#run(['bootstrap', `aws://${ACCOUNT}/${REGION}`]);
  }

  /** `cdk deploy --all -c env=emulator`. Answers the stacks' outputs. */
  deploy(): Promise<Outputs> {
    return this.#deploy(['--output', this.assembly]);
  }

  /** The same stacks with other code in every Lambda, as a new version has. */
  async deployNewVersion(): Promise<Outputs> {
    return this.#deploy(['--app', withNewCode(this.assembly, path.join(this.#folder, `cdk-${Date.now()}.out`))]);
  }

  async destroy(): Promise<void> {
    await this.#run(['destroy', '--all', '--force', '--app', this.assembly]);
  }

  /** Ends what is running now; nothing is started any more. */
  abort(): void {
    this.#aborted = true;
    for (const end of this.#running) end();
  }

  async #deploy(options: readonly string[]): Promise<Outputs> {
    const file = path.join(this.#folder, 'outputs.json');
    const common = ['deploy', '--all', '--require-approval', 'never', '--progress', 'events'];
    await this.#run([...common, '--concurrency', '2', '--outputs-file', file, ...options]);
    return JSON.parse(fs.readFileSync(file, 'utf8')) as Outputs;
  }

  #run(args: readonly string[]): Promise<void> {
    if (this.#aborted) return Promise.reject(new Error(`cdk ${args[0]} is not started: all is being stopped`));
    const log = fs.openSync(this.logFile, 'a');
    fs.writeSync(log, `\n$ cdk ${args.join(' ')}\n`);
    const child = spawn(
      process.execPath,
      [CDK, ...args, '-c', `env=${ENVIRONMENT}`, '--ci', '--no-color', '--no-notices'],
      {
        cwd: ROOT,
        detached: true,
        stdio: ['ignore', log, log],
        env: {
          PATH: `${path.dirname(process.execPath)}${path.delimiter}${process.env.PATH ?? ''}`,
          HOME: process.env.HOME ?? '',
          NO_COLOR: '1',
          ...proxySettings(),
          ...this.#emulator.environment,
        },
      },
    );
    fs.closeSync(log);
    const end = () => {
      try {
        process.kill(-(child.pid ?? 0), 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    };
    this.#running.add(end);
    const limit = setTimeout(end, COMMAND_LIMIT_MS);
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        clearTimeout(limit);
        this.#running.delete(end);
        if (code === 0) resolve();
        else reject(new Error(`cdk ${args[0]} ended with ${code ?? signal}; the end of its log:\n${this.#tail()}`));
      });
    });
  }

  #tail(): string {
    const lines = fs.readFileSync(this.logFile, 'utf8').split('\n');
    const failures = lines.filter((line) => /FAILED|error/i.test(line) && !line.includes('CREATE_IN_PROGRESS'));
    return [...failures.slice(0, 15), '…', ...lines.slice(-15)].join('\n');
  }
}

/** What npm needs to reach its registry, where the machine has something of its own. */
const proxySettings = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      /^(npm_config_|https?_proxy$|no_proxy$|NODE_EXTRA_CA_CERTS$|SSL_CERT_FILE$)/i.test(name) && value !== undefined
        ? [[name, value]]
        : [],
    ),
  );

/** A copy of an assembly in which the code of every Lambda is another one, under another hash. */
function withNewCode(assembly: string, copy: string): string {
  fs.cpSync(assembly, copy, { recursive: true });
  const renamed = new Map<string, string>();
  for (const name of fs.readdirSync(copy)) {
    const hash = /^asset\.([0-9a-f]{64})$/.exec(name)?.[1];
    const code = path.join(copy, name, 'index.js');
    if (hash === undefined || !fs.existsSync(code)) continue;
    const fresh = createHash('sha256').update(`${hash} ${copy}`).digest('hex');
    fs.appendFileSync(code, `\n// ${fresh}\n`);
    fs.renameSync(path.join(copy, name), path.join(copy, `asset.${fresh}`));
    renamed.set(hash, fresh);
  }
  for (const name of fs.readdirSync(copy).filter((each) => each.endsWith('.json'))) {
    const file = path.join(copy, name);
    const text = fs.readFileSync(file, 'utf8');
    const changed = text.replaceAll(/[0-9a-f]{64}/g, (hash) => renamed.get(hash) ?? hash);
    // The template has changed, and is an asset itself.
    if (changed !== text) fs.writeFileSync(file, changed);
  }
  return copy;
}
