import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Mask } from '../../runner/mask.ts';
import { node, sh, Vm } from './harness.ts';

/** Sends a text through a mask in the given pieces. */
function throughMask(values: readonly string[], pieces: readonly (Buffer | string)[]): string {
  const mask = new Mask(values);
  return Buffer.concat([...pieces.map((piece) => mask.take(Buffer.from(piece))), mask.end()]).toString();
}

describe('a mask', () => {
  it('blanks values out wherever they are cut', () => {
    const text = Buffer.from('a→secret→b secretsecret sec ret');
    for (let first = 0; first <= text.length; first += 1) {
      for (let second = first; second <= text.length; second += 1) {
        const pieces = [text.subarray(0, first), text.subarray(first, second), text.subarray(second)];
        expect(throughMask(['secret'], pieces)).toBe('a→***→b ****** sec ret');
      }
    }
  });

  it('leaves no part of values that overlap, or that hold one another', () => {
    expect(throughMask(['abcd', 'cdef'], ['xabcdefx'])).toBe('x***x');
    expect(throughMask(['abcd', 'cdef'], ['xabc', 'def', 'x'])).toBe('x***x');
    expect(throughMask(['bc', 'abcd'], ['xab', 'cdx'])).toBe('x***x');
    expect(throughMask(['aa'], ['a', 'a', 'a', 'b'])).toBe('***b');
  });

  it('blanks out the lines of a value that has several, unless they are too short to be told from anything', () => {
    const key = '-----BEGIN-----\nMIIEvQIBADANBg\nab\n-----END-----';
    expect(throughMask([key], [`key: ${key}.`])).toBe('key: ***.');
    expect(throughMask([key], ['> MIIEvQIBADANBg\r\n> ab\r\n'])).toBe('> ***\r\n> ab\r\n');
  });

  it('lets nothing of a value through and changes nothing else, whatever the text and the cuts', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'é'), minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.array(letters, { maxLength: 3 }), fc.array(letters, { maxLength: 12 }), (values, pieces) => {
        const whole = throughMask(values, [pieces.join('')]);
        const bytes = Buffer.from(pieces.join(''));
        expect(throughMask(values, pieces)).toBe(whole);
        expect(
          throughMask(
            values,
            [...bytes].map((byte) => Buffer.from([byte])),
          ),
        ).toBe(whole);
        for (const value of values) expect(whole).not.toContain(value);
        if (!values.some((value) => pieces.join('').includes(value))) expect(whole).toBe(pieces.join(''));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the secrets of a run', () => {
  let vm: Vm;
  beforeEach(async () => {
    vm = await Vm.create();
  });
  afterEach(async () => {
    const { problems } = vm.server;
    await vm.dispose();
    expect(problems).toEqual([]);
  });

  it('never reach the log, nor the disk, on either stream and cut by any border', async () => {
    const script = `const { SECRET } = process.env; const [a, b] = [SECRET.slice(0, 4), SECRET.slice(4)];
      const filler = 'x'.repeat(32 * 1024 - 10);
      process.stderr.write('err ' + a);
      setTimeout(() => { process.stderr.write(b + '\\n'); process.stdout.write(filler + SECRET + filler + SECRET + '\\n'); }, 200);
      setTimeout(() => process.stdout.write('last ' + a), 300);`;
    vm.run('run_a', node(script), { env: { SECRET: 'swordfish-ünï' }, mask: ['swordfish-ünï'] });
    vm.run('run_b', sh('echo "$SECRET"; no-such-"$SECRET"'), { env: { SECRET: 'opensesame' }, mask: ['opensesame'] });
    vm.run('run_c', ['no-such-opensesame'], { mask: ['opensesame'] });
    vm.startRunner();
    for (const runId of ['run_a', 'run_b', 'run_c']) await vm.reached(runId, 'ended');
    const filler = 'x'.repeat(32 * 1024 - 10);
    expect(vm.server.text('run_a', 'stderr')).toBe('err ***\n');
    expect(vm.server.text('run_a', 'stdout')).toBe(`${filler}***${filler}***\nlast swor`);
    expect(vm.server.text('run_b', 'stdout')).toBe('***\n');
    expect(vm.server.text('run_b', 'stderr')).toMatch(/no-such-\*\*\*/);
    expect(vm.server.text('run_c', 'candor')).toContain('no-such-***');
    const { detail } = vm.server.entry('run_c')!;
    expect(detail).toContain('no-such-***');
    for (const runId of ['run_a', 'run_b', 'run_c']) {
      expect(vm.contentsOf(runId)).not.toMatch(/swordfish|opensesame/);
    }
    expect(vm.stderr).not.toMatch(/swordfish|opensesame/);
  });
});
