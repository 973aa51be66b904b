/**
 * One emulated instance's machine: a folder as its disk, cloud-init's part played on its user data, the runner as a process.
 * Not played are users, firewall and systemd: test/infra has those.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { InstanceFacts, Metadata } from './metadata.ts';
import { killAll, processesIn, signalAll } from './processes.ts';

const run = promisify(execFile);
const BOOT_LIMIT_MS = 120_000;
/** As in candor-runner.service. */
const RESTART_MS = 2000;
const RESTARTS_MAX = 20;

interface CloudConfig {
  readonly write_files: readonly { readonly path: string; readonly permissions: string; readonly content: string }[];
}

interface BootFile {
  readonly vmTag: string;
  readonly apiUrl: string;
  readonly selfDestructSeconds: number;
  readonly runner: { readonly url: string; readonly sha256: string };
}

export interface MachineOptions {
  readonly facts: InstanceFacts;
  readonly metadata: Metadata;
  /** The disk. */
  readonly folder: string;
  /** Where what the first machine has fetched is kept for the others: the archives are large. */
  readonly cache: string;
  /** The emulator, which stands in for S3's own address. */
  readonly s3Url: string;
  /** A reachable form of the API's address. */
  readonly reachable: (apiUrl: string) => string;
  /** The machine has powered itself off. */
  readonly onPowerOff: (why: string) => void;
}

export class Machine {
  readonly #options: MachineOptions;
  #child: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #off = false;
  #starts = 0;

  constructor(options: MachineOptions) {
    this.#options = options;
  }

  get folder(): string {
    return this.#options.folder;
  }

  /** How often the runner has been started. */
  get starts(): number {
    return this.#starts;
  }

  processes(): readonly number[] {
    return processesIn(this.folder);
  }

  async boot(): Promise<void> {
    const config = parseUserData(this.#options.facts.userData);
    for (const { path: name, permissions, content } of config.write_files) {
      const file = path.join(this.folder, name);
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, content);
      fs.chmodSync(file, Number.parseInt(permissions, 8));
    }
    for (const name of ['var/lib/candor/vm', 'var/cache/candor', 'run/candor', 'home/candor-agent'])
      fs.mkdirSync(path.join(this.folder, name), { recursive: true });
    // There is no systemd to ask for the end: the runner's own end is taken for it.
    fs.mkdirSync(path.join(this.folder, 'sbin'));
    fs.writeFileSync(path.join(this.folder, 'sbin/systemctl'), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
    const boot = this.#localBootFile();
    await this.#fetch(boot);
    if (!this.#off) this.#start();
  }

  /** The public names of S3 and of the API do not lead to the emulator, which serves both. */
  #localBootFile(): BootFile {
    const { s3Url, reachable } = this.#options;
    const file = path.join(this.folder, 'etc/candor/boot.json');
    const text = fs.readFileSync(file, 'utf8').replaceAll(/https:\/\/s3[.\w-]*\.amazonaws\.com/g, s3Url);
    const boot = JSON.parse(text) as BootFile;
    const local = { ...boot, apiUrl: reachable(boot.apiUrl) };
    fs.writeFileSync(file, JSON.stringify(local));
    return local;
  }

  /** The boot's own program fetches and checks the archives on the first machine; later ones find what it has fetched. */
  async #fetch(boot: BootFile): Promise<void> {
    const { facts, metadata, cache } = this.#options;
    const programs = path.join(this.folder, 'opt/candor');
    const kept = path.join(cache, boot.runner.sha256);
    if (!fs.existsSync(kept)) {
      await run('python3', [path.join(programs, 'bin/fetch.py')], {
        timeout: BOOT_LIMIT_MS,
        env: { PATH: process.env.PATH ?? '', CANDOR_ROOT: this.folder, CANDOR_IMDS: metadata.url, CANDOR_TRIES: '3' },
      });
      const staging = fs.mkdtempSync(path.join(cache, 'fetched-'));
      fs.cpSync(path.join(programs, 'runner'), path.join(staging, 'runner'), { recursive: true });
      fs.linkSync(path.join(programs, 'bin/node'), path.join(staging, 'node'));
      // Another machine may have been as quick.
      if (!fs.existsSync(kept)) fs.renameSync(staging, kept);
      return;
    }
    fs.cpSync(path.join(kept, 'runner'), path.join(programs, 'runner'), { recursive: true });
    fs.linkSync(path.join(kept, 'node'), path.join(programs, 'bin/node'));
    const { vmTag, apiUrl, selfDestructSeconds } = boot;
    const identity = { vmId: facts.tags[vmTag], url: apiUrl, key: '', region: facts.region, selfDestructSeconds };
    fs.writeFileSync(path.join(this.folder, 'var/lib/candor/vm/runner.json'), JSON.stringify(identity));
  }

  #start(): void {
    this.#starts += 1;
    const at = (name: string) => path.join(this.folder, name);
    const log = fs.openSync(at('runner.log'), 'a');
    const child = spawn(
      at('opt/candor/bin/node'),
      [
        at('opt/candor/runner/main.mjs'),
        '--dir',
        at('var/lib/candor/vm'),

        '--alive-file',
        at('run/candor/alive'),
      ],
      {
        // The machine's processes are none of the test's group.
        detached: true,
        cwd: this.folder,
        stdio: ['ignore', log, log],
        env: {
          PATH: `${at('sbin')}:${path.dirname(process.execPath)}:${process.env.PATH ?? ''}`,
          HOME: at('home/candor-agent'),
          LANG: 'C.UTF-8',
          USER: 'candor-agent',
          NODE_COMPILE_CACHE: at('var/cache/candor'),
          CANDOR_IMDS: this.#options.metadata.url,
        },
      },
    );
    fs.closeSync(log);
    this.#child = child;
    child.once('error', (error) => this.#powerOff(`the runner cannot be started: ${error.message}`));
    child.once('exit', (code) => {
      if (this.#off || this.#child !== child) return;
      if (code === 0) this.#powerOff('the runner has ended');
      else if (this.#starts >= RESTARTS_MAX) this.#powerOff('the runner cannot be kept running');
      else this.#restart = setTimeout(() => this.#start(), RESTART_MS);
    });
  }

  #powerOff(why: string): void {
    if (this.#off) return;
    void this.destroy().then(() => this.#options.onPowerOff(why));
  }

  /** The runner alone dies; systemd starts it again. */
  killRunner(): void {
    this.#child?.kill('SIGKILL');
  }

  /** Everything on it stands still, as seen from outside: the machine runs and says nothing. */
  freeze(): void {
    signalAll(this.folder, 'SIGSTOP');
  }

  thaw(): void {
    signalAll(this.folder, 'SIGCONT');
  }

  /** The plug is pulled: no process is left, whatever it was doing. */
  async destroy(): Promise<void> {
    this.#off = true;
    clearTimeout(this.#restart);
    await killAll(this.folder);
    await this.#options.metadata.close();
  }

  /** The last of what its runner has said, for a failed test. */
  log(): string {
    const file = path.join(this.folder, 'runner.log');
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8').slice(-4000) : '';
  }
}

function parseUserData(text: string): CloudConfig {
  const [first = '', ...rest] = text.split('\n');
  if (first.trim() !== '#cloud-config') throw new Error(`the user data is no cloud-config: ${text.slice(0, 80)}`);
  // The stacks write it as JSON, which is YAML as well.
  return JSON.parse(rest.join('\n')) as CloudConfig;
}
