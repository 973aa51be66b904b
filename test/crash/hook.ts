/**
 * Failpoints without a line of them in the product: this file is preloaded (`--import`) into `candor dev`, the runner and
 * the shim, and wraps what has effects outside of the process: writes to files, transactions, new processes, signals,
 * requests and answers. Each call from the product's own source is a failpoint, named after the function that calls; a
 * process can be told to die before it, while its answer is out, after it, or with half of the bytes written.
 */
import childProcess from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  HITS_FOLDER,
  hitLine,
  KILLS_FOLDER,
  type KillFile,
  type Order,
  type Phase,
  PLAN_FILE,
  type PlanFile,
  type Program,
  type Victim,
} from './plan.ts';
import { type Found, processesOf } from './processes.ts';

// biome-ignore lint/suspicious/noExplicitAny: functions of any shape are wrapped, and called as they were.
type Any = any;
type Callable = (this: unknown, ...args: Any[]) => Any;
type Owner = Record<string, Callable>;

const HOOK = import.meta.url;
const ROOT = fileURLToPath(new URL('../../', HOOK));
/** They write for others: a failpoint there is named after whoever asked for it. */
const HELPER_FILES = new Set(['runner/files.ts', 'adapters/local/files.ts', 'adapters/local/procfs.ts']);
const HELPERS = new Set(['writeAt', 'writeSynced', 'syncFolder', 'leaveReport', 'writeMark', 'openLog', 'sendSignal']);
const PROGRAMS: Readonly<Record<string, Program>> = {
  'cli/candor.mjs': 'control',
  'runner/main.ts': 'runner',
  'runner/shim.ts': 'shim',
};

const crashFolder = process.env.CANDOR_CRASH;
const program = PROGRAMS[path.relative(ROOT, process.argv[1] ?? '')];
async function install(folder: string, self: Program): Promise<void> {
  // The originals, for our own use.
  const { writeSync, openSync, readFileSync, statSync, writeFileSync } = fs;
  const kill = process.kill.bind(process);
  const planFile = path.join(folder, PLAN_FILE);
  const hits = openSync(path.join(folder, HITS_FOLDER, String(process.pid)), 'a');
  let planSeen = -1;
  let plan: PlanFile = { dataDir: '', orders: [] };
  /** How often each order's point was reached since the order was given. */
  const reached = new Map<string, number>();

  function orders(): readonly Order[] {
    const stat = statSync(planFile, { throwIfNoEntry: false });
    if (stat === undefined) return [];
    if (stat.ino !== planSeen) {
      planSeen = stat.ino;
      plan = JSON.parse(readFileSync(planFile, 'utf8')) as PlanFile;
    }
    return plan.orders.filter((order) => order.program === self);
  }

  const orderFor = (point: string, phase: Phase) =>
    orders().find((order) => order.point === point && order.phase === phase);

  /** Answers only if nobody has ordered to die here. */
  function reach(point: string, phase: Phase, tear?: () => void): void {
    const order = orderFor(point, phase);
    if (order === undefined) return;
    const times = (reached.get(order.id) ?? 0) + 1;
    reached.set(order.id, times);
    if (times <= order.skip) return;
    let claim: number;
    try {
      claim = openSync(path.join(folder, KILLS_FOLDER, order.id), 'wx');
    } catch {
      return;
    }
    tear?.();
    die(order, claim);
  }

  function die(order: Order, claim: number): never {
    const me: Victim = { ...ownMark(), role: self, pid: process.pid };
    const victims = [...companions(order, me, plan.dataDir), me];
    writeFileSync(claim, JSON.stringify({ order, victims } satisfies KillFile));
    for (const { pid } of victims) {
      try {
        kill(pid, 'SIGKILL');
      } catch {
        // It has gone by itself.
      }
    }
    // The signal is on its way to this very thread.
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  }

  function note(point: string, where: string, phases: readonly Phase[], guards: readonly string[] = []): void {
    writeSync(hits, hitLine({ program: self, point, where, phases, guards }));
  }

  let inside = false;

  /** An effect that has happened when the call returns. */
  function wrapSync(owner: object, name: string, options: { applies?: Callable; tear?: Callable } = {}): void {
    const inner = (owner as Owner)[name];
    if (inner === undefined) return;
    (owner as Owner)[name] = function (...args) {
      if (inside || options.applies?.(...args) === false) return inner.apply(this, args);
      const site = siteOf(name);
      if (site === undefined) return inner.apply(this, args);
      const tear = options.tear?.(...args) as (() => void) | undefined;
      inside = true;
      try {
        note(site.point, site.where, tear === undefined ? ['before', 'after'] : ['before', 'torn', 'after']);
        reach(site.point, 'before');
        if (tear !== undefined) reach(site.point, 'torn', tear);
        const result = inner.apply(this, args);
        reach(site.point, 'after');
        return result;
      } finally {
        inside = false;
      }
    };
  }

  /** An effect that has happened when the promise resolves; `label` names it where the calling function does not. */
  function wrapAsync(owner: object, name: string, label?: (...args: Any[]) => Label | undefined, applies?: Callable) {
    const inner = (owner as Owner)[name];
    if (inner === undefined) throw new TypeError(`there is no ${name} to wrap`);
    (owner as Owner)[name] = function (...args) {
      if (applies?.(...args) === false) return inner.apply(this, args);
      const labelled = label?.(...args);
      const site = label === undefined ? siteOf(name) : labelled && { where: '', ...labelled };
      if (site === undefined) return inner.apply(this, args);
      const { point } = site;
      note(point, site.where, ['before', 'during', 'after'], labelled?.guards);
      reach(point, 'before');
      const answer = inner.apply(this, args) as Promise<unknown>;
      if (orderFor(point, 'during') !== undefined) setImmediate(() => reach(point, 'during'));
      return answer.then((value) => {
        reach(point, 'after');
        return value;
      });
    };
  }

  const half = (bytes: unknown) => {
    const content = typeof bytes === 'string' ? Buffer.from(bytes) : (bytes as Buffer);
    return content.length < 2 ? undefined : content.subarray(0, content.length >> 1);
  };
  wrapSync(fs, 'writeSync', {
    tear: (fd: number, bytes: Buffer | string, offset?: number, length?: number, position?: number | null) => {
      const from = typeof bytes === 'string' ? 0 : (offset ?? 0);
      const part = half(typeof bytes === 'string' ? bytes : bytes.subarray(from, from + (length ?? bytes.length)));
      return part && (() => void writeSync(fd, part, 0, part.length, typeof bytes === 'string' ? null : position));
    },
  });
  wrapSync(fs, 'writeFileSync', {
    tear: (file: fs.PathOrFileDescriptor, bytes: Buffer | string, options?: fs.WriteFileOptions) => {
      const part = half(bytes);
      return part && (() => writeFileSync(file, part, options));
    },
  });
  for (const name of [
    'fsyncSync',
    'fdatasyncSync',
    'renameSync',
    'linkSync',
    'unlinkSync',
    'rm',
    'rmSync',
    'mkdirSync',
  ])
    wrapSync(fs, name);
  const writes = (_file: unknown, flags: unknown) =>
    typeof flags === 'number' ? (flags & fs.constants.O_CREAT) !== 0 : flags !== undefined && flags !== 'r';
  wrapSync(fs, 'openSync', { applies: writes });
  for (const name of ['rename', 'rm', 'mkdir', 'link', 'unlink', 'writeFile', 'chmod']) wrapAsync(fs.promises, name);
  wrapAsync(fs.promises, 'open', undefined, writes);
  wrapSync(process, 'kill', { applies: (_pid: number, signal: unknown) => signal !== 0 });
  passOn(childProcess as unknown as Owner, folder);
  wrapSync(childProcess, 'spawn');
  wrapSync(childProcess, 'spawnSync');
  syncBuiltinESMExports();
  if (self === 'runner') wrapAsync(globalThis, 'fetch', requestLabel);
  if (self !== 'control') return;
  const { end } = http.ServerResponse.prototype;
  http.ServerResponse.prototype.end = function (this: http.ServerResponse, ...args: Any[]) {
    const { method = '', url = '' } = this.req;
    if (method === 'GET') return Reflect.apply(end, this, args);
    const point = `answer ${method} ${withoutIds(url)}`;
    note(point, '', ['before', 'after']);
    reach(point, 'before');
    const result = Reflect.apply(end, this, args);
    reach(point, 'after');
    return result;
  };
  const [{ DynamoStore }, { LocalFleet }, { LocalWorkflow }] = await Promise.all([
    import('../../adapters/aws/store.ts'),
    import('../../adapters/local/fleet.ts'),
    import('../../adapters/local/workflow.ts'),
  ]);
  wrapAsync(DynamoStore.prototype, 'transact', transactionLabel);
  for (const name of ['launch', 'terminate']) wrapAsync(LocalFleet.prototype, name, () => ({ point: `fleet.${name}` }));
  for (const name of ['start', 'stop', 'signal'])
    wrapAsync(LocalWorkflow.prototype, name, () => ({ point: `workflow.${name}` }));
}

interface Label {
  readonly point: string;
  readonly guards?: readonly string[];
}

function ownMark(): Partial<Victim> {
  const { CANDOR_VM_ID: vmId, CANDOR_RUN_ID: runId, CANDOR_ATTEMPT: attempt } = process.env;
  return { ...(vmId !== undefined && { vmId }), ...(runId !== undefined && { runId, attempt: Number(attempt) }) };
}

/** Those who die with us: of our own run and VM before others. */
function companions({ also }: Order, me: Victim, dataDir: string): readonly Victim[] {
  if (also.length === 0) return [];
  const closeness = (found: Found) => Number(found.vmId === me.vmId) + Number(found.runId === me.runId);
  const others = [...processesOf(dataDir)].sort((left, right) => closeness(right) - closeness(left));
  return also.flatMap((role) => {
    const victim = others.find((found) => found.role === role && found.pid !== me.pid);
    return victim === undefined ? [] : [victim];
  });
}

/** Runners and shims get an environment of their own; the hook goes along with them, and not with the work. */
function passOn(owner: Owner, folder: string): void {
  const inner = owner.spawn;
  if (inner === undefined) return;
  owner.spawn = function (file: string, args: readonly string[], options: Any) {
    const ours = args.some((each) => /\/runner\/(main|shim)\.ts$/.test(each));
    const extra = { NODE_OPTIONS: `--import=${HOOK}`, CANDOR_CRASH: folder };
    return inner.call(this, file, args, ours ? { ...options, env: { ...options.env, ...extra } } : options);
  };
}

const FRAME = /^\s+at (?:async )?(?:(.*?) \()?file:\/\/(.*?):(\d+):\d+\)?$/;

/** Which line of the product makes this call, and on whose behalf. Undefined for everybody else's calls. */
function siteOf(operation: string): { readonly point: string; readonly where: string } | undefined {
  const holder = { stack: '' };
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 40;
  Error.captureStackTrace(holder, siteOf);
  Error.stackTraceLimit = limit;
  const frames = holder.stack.split('\n').flatMap((line) => {
    const [, called = 'top level', file = '', lineNumber = ''] = FRAME.exec(line) ?? [];
    const inTree = path.relative(ROOT, file);
    if (!/^(adapters|cli|core|runner)\//.test(inTree)) return [];
    return [{ called: called.replace(/^Object\.<anonymous>$/, 'top level'), file: inTree, lineNumber }];
  });
  const [nearest] = frames;
  if (nearest === undefined) return undefined;
  const asker = frames.find(({ file, called }) => !HELPER_FILES.has(file) && !HELPERS.has(called)) ?? nearest;
  const through = asker === nearest ? '' : ` in ${nearest.called}`;
  return {
    point: `${asker.file} ${asker.called}: ${operation}${through}`,
    where: `${nearest.file}:${nearest.lineNumber}`,
  };
}

const withoutIds = (url: string) =>
  url
    .replace(/^https?:\/\/[^/]+/, '')
    .replace(/\?.*$/, '')
    .replaceAll(/\b[a-z]{3}_[0-9a-z]{20,}/g, ':id')
    .replaceAll(/\/\d+/g, '/:n');

const requestLabel = (url: string | URL, { method = 'GET' } = {}): Label => ({
  point: `request ${method} ${withoutIds(String(url))}`,
});

interface AnyWrite {
  readonly kind: string;
  readonly key?: { readonly pk: string; readonly sk: string };
  readonly item?: Readonly<Record<string, unknown>>;
  readonly guards?: readonly { readonly name: string }[];
}

/** A transaction is known by the events that it appends, else by its guards, else by the kinds of its items. */
function transactionLabel(writes: readonly AnyWrite[]): Label {
  const events = writes.flatMap(({ item }) => (typeof item?.sequence === 'number' ? [String(item.type)] : []));
  const guards = [...new Set(writes.flatMap((write) => (write.guards ?? []).map(({ name }) => name)))];
  const kinds = writes.map(({ kind, key, item }) => {
    const { pk, sk } = key ?? (item as { pk: string; sk: string });
    return `${kind} ${pk.split('#')[0]}/${sk.split('#')[0]}`;
  });
  const named = events.length > 0 ? events : guards.length > 0 ? guards : kinds;
  return { point: `transact ${[...new Set(named)].join(' + ')}`, guards };
}

if (crashFolder !== undefined && program !== undefined) await install(crashFolder, program);
