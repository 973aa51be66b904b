/** While a world is simulated, whoever of `core/` or `runner/` asks the machine for time, chance or a timer is found out. */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

type Named = Record<string, unknown>;

const TRAPPED: readonly (readonly [owner: Named, name: string, shown: string])[] = [
  [Date as unknown as Named, 'now', 'Date.now'],
  [Math as unknown as Named, 'random', 'Math.random'],
  [performance as unknown as Named, 'now', 'performance.now'],
  [globalThis as unknown as Named, 'setTimeout', 'setTimeout'],
  [globalThis as unknown as Named, 'setInterval', 'setInterval'],
  [globalThis as unknown as Named, 'setImmediate', 'setImmediate'],
  [globalThis.crypto as unknown as Named, 'randomUUID', 'crypto.randomUUID'],
  [globalThis.crypto as unknown as Named, 'getRandomValues', 'crypto.getRandomValues'],
  [crypto as unknown as Named, 'randomUUID', 'node:crypto randomUUID'],
  [crypto as unknown as Named, 'randomBytes', 'node:crypto randomBytes'],
];

const OURS = /[\\/](core|runner)[\\/][\w/\\-]+\.ts/;

/** The first frame outside of this file says who asks. */
function callerIsOurs(): string | undefined {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 6;
  const frames = (new Error('who asks').stack ?? '').split('\n').slice(1);
  Error.stackTraceLimit = limit;
  const caller = frames.find((frame) => !frame.includes('traps.ts'));
  return caller !== undefined && OURS.test(caller) ? caller.trim() : undefined;
}

export interface Traps {
  /** What was asked for, and from where. */
  readonly sprung: readonly string[];
  remove(): void;
}

export function setTraps(): Traps {
  const sprung: string[] = [];
  const spring = (name: string) => {
    const caller = callerIsOurs();
    if (caller !== undefined) sprung.push(`${name} ${caller}`);
  };
  const restores: (() => void)[] = [];
  for (const [owner, name, shown] of TRAPPED) {
    const own = Object.hasOwn(owner, name);
    const real = owner[name] as (...args: unknown[]) => unknown;
    owner[name] = function trapped(this: unknown, ...args: unknown[]) {
      spring(shown);
      return real.apply(this ?? owner, args);
    };
    restores.push(() => {
      if (own) owner[name] = real;
      else delete owner[name];
    });
  }
  const RealDate = globalThis.Date;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args: unknown[], newTarget) => {
      if (args.length === 0) spring('new Date()');
      return Reflect.construct(target, args, newTarget) as object;
    },
  });
  syncBuiltinESMExports();
  return {
    sprung,
    remove: () => {
      globalThis.Date = RealDate;
      for (const restore of restores) restore();
      syncBuiltinESMExports();
    },
  };
}
