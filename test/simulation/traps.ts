/**
 * While a world is simulated, whoever of Candor asks the machine for time, chance or a timer is found out: all of `core/`,
 * `runner/` and `adapters/` that runs there has ports for these. Those adapters that rightly ask the machine do not run there:
 * `adapters/system`, which are those ports in a real process, and the pauses of `aws/store.ts`, in whose place stands `table.ts`.
 */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers';
import timersPromises from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

type Ask = (...args: unknown[]) => unknown;
type Named = Record<string, unknown>;

/** In the order in which they are set: what is a member of another one comes before it. */
const TRAPPED: readonly (readonly [owner: object, name: string, shown: string])[] = [
  [Date, 'now', 'Date.now'],
  [Math, 'random', 'Math.random'],
  [performance, 'now', 'performance.now'],
  [process.hrtime, 'bigint', 'process.hrtime.bigint'],
  [process, 'hrtime', 'process.hrtime'],
  [globalThis, 'setTimeout', 'setTimeout'],
  [globalThis, 'setInterval', 'setInterval'],
  [globalThis, 'setImmediate', 'setImmediate'],
  [timers, 'setTimeout', 'node:timers setTimeout'],
  [timers, 'setInterval', 'node:timers setInterval'],
  [timers, 'setImmediate', 'node:timers setImmediate'],
  [timersPromises, 'setTimeout', 'node:timers/promises setTimeout'],
  [timersPromises, 'setInterval', 'node:timers/promises setInterval'],
  [timersPromises, 'setImmediate', 'node:timers/promises setImmediate'],
  [AbortSignal, 'timeout', 'AbortSignal.timeout'],
  [globalThis.crypto, 'randomUUID', 'crypto.randomUUID'],
  [globalThis.crypto, 'getRandomValues', 'crypto.getRandomValues'],
  [crypto, 'randomUUID', 'node:crypto randomUUID'],
  [crypto, 'randomBytes', 'node:crypto randomBytes'],
  [crypto, 'randomInt', 'node:crypto randomInt'],
  [crypto, 'randomFillSync', 'node:crypto randomFillSync'],
];

/** All that is found out, by the names that `sprung` has. */
export const TRAPS: readonly string[] = [...TRAPPED.map(([, , shown]) => shown), 'Date()', 'new Date()'];

/** For the simulator's own turns, of which a world has thousands. */
export const untrapped = { setImmediate: globalThis.setImmediate };

const ROOT = new URL('../../', import.meta.url);
const OURS = /^(?:core|runner|adapters)\/[^:]+\.ts:\d+/;

export interface Traps {
  /** What was asked for, and where. */
  readonly sprung: readonly string[];
  /** Is told from now on, instead of whoever was told before; first of what nobody has been told of. */
  tell(listener: (what: string) => void): void;
  remove(): void;
}

/** @param root the folder in which Candor's own folders are */
export function setTraps(root: URL = ROOT): Traps {
  const whoAsks = asker(root);
  const sprung: string[] = [];
  let told = 0;
  let listener: ((what: string) => void) | undefined;
  const tell = () => {
    while (listener !== undefined && told < sprung.length) listener(sprung[told++] as string);
  };
  const spring = (name: string) => {
    const place = whoAsks();
    if (place === undefined) return;
    sprung.push(`${place} asks the machine for ${name}`);
    tell();
  };
  const restores = TRAPPED.map(([owner, name, shown]) => setOne(owner as Named, name, () => spring(shown)));
  const RealDate = globalThis.Date;
  globalThis.Date = trappedDate(RealDate, spring);
  syncBuiltinESMExports();
  return {
    sprung,
    tell: (next) => {
      listener = next;
      tell();
    },
    remove: () => {
      globalThis.Date = RealDate;
      for (const restore of restores.toReversed()) restore();
      syncBuiltinESMExports();
    },
  };
}

/** The first frame of a file other than this one says who asks: `core/ids.ts:12`, where that is one of ours. */
function asker(root: URL): () => string | undefined {
  const roots = [root.href, fileURLToPath(root)];
  return () => {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 8;
    const frames = (new Error('who asks').stack ?? '').split('\n').slice(1);
    Error.stackTraceLimit = limit;
    // `list.map(Math.random)`: the language's own functions ask for whoever called them.
    const caller = frames.find((frame) => !frame.includes('/traps.ts:') && !frame.includes('(<anonymous>)')) ?? '';
    const from = roots.find((each) => caller.includes(each));
    return from === undefined ? undefined : OURS.exec(caller.slice(caller.indexOf(from) + from.length))?.[0];
  };
}

function setOne(owner: Named, name: string, spring: () => void): () => void {
  const own = Object.hasOwn(owner, name);
  const real = owner[name] as Ask;
  const trapped = function trapped(this: unknown, ...args: unknown[]) {
    spring();
    return real.apply(this ?? owner, args);
  };
  Object.defineProperties(trapped, Object.getOwnPropertyDescriptors(real));
  // Plainly set: an owner whose properties are defined anew, such as `Math`, is slow for everybody from then on.
  owner[name] = trapped;
  return () => {
    if (own) owner[name] = real;
    else delete owner[name];
  };
}

function trappedDate(real: DateConstructor, spring: (name: string) => void): DateConstructor {
  function TrappedDate(...args: unknown[]): unknown {
    if (new.target === undefined) {
      spring('Date()');
      return real();
    }
    if (args.length === 0) spring('new Date()');
    // Most are made of one time, and there are many.
    return args.length === 1 ? new real(args[0] as number) : Reflect.construct(real, args);
  }
  // The same prototype, too: what was made before and what is made now are dates of one kind.
  return Object.defineProperties(TrappedDate, Object.getOwnPropertyDescriptors(real)) as unknown as DateConstructor;
}
