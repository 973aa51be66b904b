/**
 * What the fleet keeps on disk about a VM, so that the next `candor dev` knows what this one knew:
 *
 *     <data dir>/vms/<vmId>/vm.json       the launch, and the runner's process
 *                          runner.json    what the runner is told: where to register, and its key
 *                          runner.log     the runner's own output
 *                          stopped        written by a runner that ended by order: it is not started again
 *                          terminating    written before the first signal of a termination, and when that was
 *                          runs/          the runner's: a folder for each run whose end has not been acknowledged
 *     <data dir>/vms-ended/<vmId>.json    a VM that is gone: its client token launches nothing any more
 */
import { existsSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { hasCode, makePrivateFolder, readIfThere, writeAtomically, writeOnce } from './files.ts';

/** A client token is never used again after a launch intent's run has ended; a week is far longer than any of them. */
const ENDED_KEPT_MS = 7 * 86_400_000;
/** Ids become names of folders. */
const SAFE_ID = /^[a-z0-9_]+$/;

const VmFile = z.object({
  vmId: z.string(),
  tenantId: z.string(),
  agentId: z.string(),
  instanceId: z.string(),
  clientToken: z.string(),
  launchedAt: z.iso.datetime(),
  /** The runner's latest process. */
  runner: z.object({ pid: z.int(), startTicks: z.number() }).optional(),
});
export type VmFile = z.infer<typeof VmFile>;

const EndedFile = z.object({
  vmId: z.string(),
  instanceId: z.string(),
  clientToken: z.string(),
  endedAt: z.iso.datetime(),
  reason: z.string(),
});
export type EndedFile = z.infer<typeof EndedFile>;

export interface RunnerFile {
  readonly vmId: string;
  readonly url: string;
  readonly key: string;
}

export class VmFolders {
  readonly #vms: string;
  readonly #ended: string;

  constructor(dataDir: string) {
    this.#vms = path.join(dataDir, 'vms');
    this.#ended = path.join(dataDir, 'vms-ended');
  }

  /** @throws RangeError when the id cannot be a folder's name */
  pathOf(vmId: string): string {
    if (!SAFE_ID.test(vmId)) throw new RangeError(`"${vmId}" is not the id of a VM`);
    return path.join(this.#vms, vmId);
  }

  async list(): Promise<readonly string[]> {
    return (await namesIn(this.#vms)).filter((name) => SAFE_ID.test(name));
  }

  exists(vmId: string): boolean {
    return existsSync(this.pathOf(vmId));
  }

  isStopped(vmId: string): boolean {
    return existsSync(path.join(this.pathOf(vmId), 'stopped'));
  }

  isTerminating(vmId: string): boolean {
    return existsSync(path.join(this.pathOf(vmId), 'terminating'));
  }

  /** What ends later than the first mark says may have been ended by the termination. */
  async markTerminating(vmId: string, at: { readonly monotonicMs: number; readonly bootId: string }): Promise<void> {
    try {
      await writeOnce(path.join(this.pathOf(vmId), 'terminating'), asJson(at));
    } catch (error) {
      // Without a folder there is nothing left to mark.
      if (!hasCode(error, 'ENOENT')) throw error;
    }
  }

  /** Whether its runner may have runs whose end nobody has acknowledged. */
  async mayHaveOutcomes(vmId: string): Promise<boolean> {
    const names = await namesIn(path.join(this.pathOf(vmId), 'runs'));
    return names.some((name) => !name.startsWith('removed-'));
  }

  /** Undefined when the launch did not get as far as its first file. */
  async readVm(vmId: string): Promise<VmFile | undefined> {
    return parse(VmFile, await readIfThere(path.join(this.pathOf(vmId), 'vm.json')));
  }

  async writeVm(vm: VmFile): Promise<void> {
    await writeAtomically(path.join(this.pathOf(vm.vmId), 'vm.json'), asJson(vm));
  }

  async create(vm: VmFile, runner: RunnerFile): Promise<void> {
    const folder = this.pathOf(vm.vmId);
    await makePrivateFolder(folder);
    await writeAtomically(path.join(folder, 'runner.json'), asJson(runner));
    await this.writeVm(vm);
  }

  /** Tells the runner another address of the server; it reads the file when it starts and when the old address fails. */
  async setServerUrl(vmId: string, url: string): Promise<void> {
    const file = path.join(this.pathOf(vmId), 'runner.json');
    const runner = parse(z.object({ vmId: z.string(), url: z.string(), key: z.string() }), await readIfThere(file));
    if (runner !== undefined && runner.url !== url) await writeAtomically(file, asJson({ ...runner, url }));
  }

  async readEnded(vmId: string): Promise<EndedFile | undefined> {
    this.pathOf(vmId);
    return parse(EndedFile, await readIfThere(path.join(this.#ended, `${vmId}.json`)));
  }

  /** Removes the folder of a VM that is gone, and keeps that it is gone. The caller has seen that no process is left. */
  async remove(vmId: string, reason: string, nowMs: number): Promise<void> {
    const vm = await this.readVm(vmId);
    if (vm !== undefined) {
      const { instanceId, clientToken } = vm;
      const ended: EndedFile = { vmId, instanceId, clientToken, endedAt: new Date(nowMs).toISOString(), reason };
      await makePrivateFolder(this.#ended);
      await writeAtomically(path.join(this.#ended, `${vmId}.json`), asJson(ended));
    }
    await this.discard(vmId);
  }

  /** Removes the folder and remembers nothing: as if the launch had never been. */
  async discard(vmId: string): Promise<void> {
    // A process that was just killed may still have brought a file into the folder while it was being emptied.
    await rm(this.pathOf(vmId), { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
  }

  async sweepEnded(nowMs: number): Promise<void> {
    for (const name of await namesIn(this.#ended)) {
      const file = path.join(this.#ended, name);
      if ((await stat(file)).mtimeMs < nowMs - ENDED_KEPT_MS) await rm(file, { force: true });
    }
  }
}

const asJson = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}

function parse<T>(schema: z.ZodType<T>, text: string | undefined): T | undefined {
  if (text === undefined) return undefined;
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
