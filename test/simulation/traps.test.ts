import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { play } from './play.ts';
import { setTraps, TRAPS, type Traps } from './traps.ts';

/** A module that asks the machine in every way that is trapped, under the names of the traps, and indirectly. */
const ASKS = `
import * as crypto from 'node:crypto';
import { randomUUID } from 'node:crypto';
import * as timers from 'node:timers';
import * as promises from 'node:timers/promises';

export const asks = {
  'Date.now': () => Date.now(),
  'Date()': () => Date(),
  'new Date()': () => new Date(),
  'Math.random': () => Math.random(),
  'performance.now': () => performance.now(),
  'process.hrtime': () => process.hrtime(),
  'process.hrtime.bigint': () => process.hrtime.bigint(),
  setTimeout: () => clearTimeout(setTimeout(() => {}, 0)),
  setInterval: () => clearInterval(setInterval(() => {}, 0)),
  setImmediate: () => clearImmediate(setImmediate(() => {})),
  'node:timers setTimeout': () => clearTimeout(timers.setTimeout(() => {}, 0)),
  'node:timers setInterval': () => clearInterval(timers.setInterval(() => {}, 0)),
  'node:timers setImmediate': () => clearImmediate(timers.setImmediate(() => {})),
  'node:timers/promises setTimeout': () => promises.setTimeout(0),
  'node:timers/promises setInterval': () => promises.setInterval(0),
  'node:timers/promises setImmediate': () => promises.setImmediate(),
  'AbortSignal.timeout': () => AbortSignal.timeout(1),
  'crypto.randomUUID': () => globalThis.crypto.randomUUID(),
  'crypto.getRandomValues': () => globalThis.crypto.getRandomValues(new Uint8Array(1)),
  'node:crypto randomUUID': () => randomUUID(),
  'node:crypto randomBytes': () => crypto.randomBytes(1),
  'node:crypto randomInt': () => crypto.randomInt(2),
  'node:crypto randomFillSync': () => crypto.randomFillSync(new Uint8Array(1)),
};

export const fair = () => [new Date(0).toISOString(), new Date(2027, 0), Date.UTC(2027, 0), Date.parse('2027-01-01')];
export const indirect = () => [1].map(Math.random);
export const waits = () => new Promise((resolve) => setTimeout(resolve, 0));
`;

interface Asking {
  readonly asks: Readonly<Record<string, () => unknown>>;
  fair(): unknown;
  indirect(): unknown;
  waits(): Promise<unknown>;
}

let root: string;
beforeAll(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'candor traps '));
});
afterAll(() => rmSync(root, { recursive: true }));

let traps: Traps;
beforeEach(() => {
  traps = setTraps(pathToFileURL(`${root}${path.sep}`));
});
afterEach(() => traps.remove());

async function askingFrom(file: string): Promise<Asking> {
  const whole = path.join(root, file);
  mkdirSync(path.dirname(whole), { recursive: true });
  writeFileSync(whole, ASKS);
  return (await import(/* @vite-ignore */ pathToFileURL(whole).href)) as Asking;
}

const names = () => traps.sprung.map((what) => what.replace(/^.* asks the machine for /, '')).sort();

describe.each(['core/asks.ts', 'core/runs/a folder/asks.ts', 'runner/asks.ts', 'adapters/aws/asks.ts'])(
  '%s',
  (file) => {
    it('springs every trap, and each says who has asked for what', async () => {
      const { asks } = await askingFrom(file);
      expect(Object.keys(asks).sort()).toEqual([...TRAPS].sort());
      for (const [name, ask] of Object.entries(asks)) {
        const before = traps.sprung.length;
        await ask();
        expect(traps.sprung.slice(before)).toEqual([
          expect.stringMatching(new RegExp(`^${file}:\\d+ asks the machine for ${name.replaceAll(/\W/g, '\\$&')}$`)),
        ]);
      }
    });

    it('springs them through functions of the language, too', async () => {
      const { indirect, waits } = await askingFrom(file);
      indirect();
      await waits();
      expect(names()).toEqual(['Math.random', 'setTimeout']);
    });

    it('springs none with a time that it was given', async () => {
      (await askingFrom(file)).fair();
      expect(traps.sprung).toEqual([]);
    });
  },
);

it.each(['asks.ts', 'test/core/asks.ts', 'lambdas/asks.ts', 'scores/asks.ts', 'node_modules/core/asks.ts'])(
  '%s springs none: it is not of Candor as it runs in a world',
  async (file) => {
    const { asks, indirect } = await askingFrom(file);
    for (const ask of Object.values(asks)) await ask();
    indirect();
    expect(traps.sprung).toEqual([]);
  },
);

describe('traps', () => {
  it('leave what is asked for as it is, and go without a trace', async () => {
    const { asks } = await askingFrom('core/asks.ts');
    expect(asks['Date.now']?.()).toBeTypeOf('number');
    expect(asks['new Date()']?.()).toBeInstanceOf(Date);
    expect(asks['node:crypto randomUUID']?.()).toHaveLength(36);
    expect(new Date(7).getTime()).toBe(7);
    const count = traps.sprung.length;
    expect(count).toBe(3);
    traps.remove();
    for (const ask of Object.values(asks)) await ask();
    expect(traps.sprung).toHaveLength(count);
    expect(Object.hasOwn(performance, 'now')).toBe(false);
  });

  it('tell who listens, first of what nobody has heard of', async () => {
    const { asks } = await askingFrom('core/asks.ts');
    asks['Math.random']?.();
    const heard: string[] = [];
    traps.tell((what) => heard.push(what));
    asks['Date.now']?.();
    expect(heard).toEqual(traps.sprung);
    expect(heard).toHaveLength(2);
    const next: string[] = [];
    traps.tell((what) => next.push(what));
    expect(next).toEqual([]);
  });

  it('break the world in which they are sprung', { timeout: 60_000 }, async () => {
    const { asks } = await askingFrom('core/asks.ts');
    asks['Math.random']?.();
    expect((await play({ seed: 1, traps })).violation).toMatchObject({
      invariant: 'defect',
      what: expect.stringContaining('asks the machine for Math.random'),
    });
    expect((await play({ seed: 1, traps })).violation).toBeUndefined();
  });
});
