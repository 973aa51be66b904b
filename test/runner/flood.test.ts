/** Work that puts out more than anyone can want: bounded memory, nothing out of order, and no byte unaccounted for. */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { node, sh, Vm, waitFor } from './harness.ts';

const MEGABYTE = 1_000_000;
const RSS_KIB_MAX = 100 * 1024;
const LIMIT_MS = 100_000;

// Types are stripped once and then come from the compile cache; what that takes is not what is looked at here.
beforeAll(async () => {
  const first = await Vm.create();
  first.run('run_a', ['true']);
  first.startRunner();
  await first.reached('run_a', 'ended');
  await first.dispose();
});

let vm: Vm;
beforeEach(async () => {
  vm = await Vm.create();
});
afterEach(async () => {
  const { problems } = vm.server;
  await vm.dispose();
  expect(problems).toEqual([]);
});

/** The most memory that a process has had in RAM so far. */
function peakKiB(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** Runs a script that floods its output, and answers the bytes that arrived and what Candor said about the others. */
async function flood(script: string, maxLogBytes: number): Promise<{ arrived: Buffer; dropped: number }> {
  // It stays until its shim has been looked at, which ends with it.
  const staying = `${script}; touch ${vm.file('flooded')}; while [ ! -e ${vm.file('go')} ]; do sleep 0.05; done`;
  vm.run('run_a', sh(staying), { maxLogBytes });
  vm.startRunner();
  await waitFor('the flood to be over', () => vm.read('flooded') !== undefined, LIMIT_MS);
  const peaks = { shim: peakKiB(vm.runFile('run_a', 'shim.json').shimPid!) };
  fs.writeFileSync(vm.file('go'), '');
  expect(await vm.reached('run_a', 'ended', LIMIT_MS)).toMatchObject({ exitCode: 0 });
  const { shim, runner } = { ...peaks, runner: peakKiB(vm.runner!.pid!) };
  expect([shim, runner].filter((kiB) => !(kiB < RSS_KIB_MAX))).toEqual([]);
  const records = vm.server.logs('run_a').filter(({ stream }) => stream === 'stdout');
  const arrived = records.map(({ text, base64 }) =>
    base64 === undefined ? Buffer.from(text ?? '') : Buffer.from(base64, 'base64'),
  );
  const said = vm.server.text('run_a', 'candor');
  const dropped =
    said === '' ? 0 : Number(/^(\d+) bytes dropped here: the limit of \d+ bytes was reached$/.exec(said)?.[1]);
  return { arrived: Buffer.concat(arrived), dropped };
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

describe('a flood of output', { timeout: 2 * LIMIT_MS }, () => {
  it('of 100 MB in lines is capped at the limit, in order, with the exact number of bytes that are missing', async () => {
    const { arrived, dropped } = await flood(`seq 1 20000000 | head -c ${100 * MEGABYTE}`, 8 * MEGABYTE);
    expect(arrived.length + dropped).toBe(100 * MEGABYTE);
    expect(arrived).toHaveLength(8 * MEGABYTE);
    const lines = arrived.toString().split('\n').slice(0, -1);
    expect(lines.every((line, index) => line === String(index + 1))).toBe(true);
  });

  it('of 100 MB in one line without an end is kept where the limit allows it', async () => {
    const { arrived, dropped } = await flood(`head -c ${100 * MEGABYTE} /dev/zero | tr '\\0' x`, 200 * MEGABYTE);
    expect(dropped).toBe(0);
    expect(arrived).toHaveLength(100 * MEGABYTE);
    expect(arrived.every((byte) => byte === 0x78)).toBe(true);
  });

  it('of bytes that are no text comes out as it went in', async () => {
    const script = `head -c ${20 * MEGABYTE} /dev/urandom > ${vm.file('random')}; cat ${vm.file('random')}`;
    const { arrived, dropped } = await flood(script, 15 * MEGABYTE);
    const written = fs.readFileSync(vm.file('random'));
    expect(arrived.length + dropped).toBe(written.length);
    expect(arrived.length).toBeGreaterThan(15 * MEGABYTE - 4);
    expect(sha256(arrived)).toBe(sha256(written.subarray(0, arrived.length)));
  });

  it('of 10,000 lines a second, with characters of every length, has each line whole and in its place', async () => {
    const line = (index: number) => `${index} aé→🦊\n`;
    const script = node(`let n = 0; const timer = setInterval(() => {
      let lines = ''; for (const end = n + 1000; n < end; n += 1) lines += n + ' aé→🦊\\n';
      process.stdout.write(lines); if (n === 30_000) clearInterval(timer); }, 100)`);
    fs.writeFileSync(vm.file('script.js'), script[2]!);
    const { arrived, dropped } = await flood(`${process.execPath} ${vm.file('script.js')}`, 100 * MEGABYTE);
    expect(dropped).toBe(0);
    expect(arrived.toString() === Array.from({ length: 30_000 }, (_, index) => line(index)).join('')).toBe(true);
    // Not one character is cut by the border of a record or of a chunk.
    expect(vm.server.logs('run_a').every(({ base64, text }) => base64 === undefined && !text?.includes('\ufffd'))).toBe(
      true,
    );
  });

  it('is cut at a character, and what follows is counted to the byte', async () => {
    const { arrived, dropped } = await flood(`i=0; while [ $i -lt 1000 ]; do printf 'é→🦊'; i=$((i+1)); done`, 5003);
    expect(arrived.toString()).toBe('é→🦊'.repeat(1000).slice(0, arrived.toString().length));
    expect(arrived.length).toBeGreaterThanOrEqual(5000);
    expect(arrived.length + dropped).toBe(9000);
  });
});
