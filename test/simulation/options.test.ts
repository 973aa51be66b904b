import { spawnSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { optionsFrom } from './options.ts';

let said = '';
beforeEach(() => {
  said = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said += String(text);
    return true;
  });
  vi.spyOn(process, 'exit').mockImplementation((code) => {
    throw new Error(`exit ${code}`);
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** The arguments, and what the refusal says: the option, and what to do. */
const REFUSED: readonly (readonly [args: string, ...says: string[]])[] = [
  [
    '--sensitivity --minutes 1',
    '--sensitivity does not take --minutes:',
    'It takes --seeds, --from, --workers, --without',
  ],
  ['--sensitivity --aim limit.free', 'does not take --aim:', 'leave that out'],
  ['--sensitivity --inject []', 'does not take --inject:', 'leave that out'],
  ['--sensitivity --sweep', 'does not take --sweep:', 'leave that out'],
  ['--sensitivity --pairs 5', 'does not take --pairs:', 'leave that out'],
  ['--sensitivity --pairs 0', 'does not take --pairs:', 'leave that out'],
  ['--sensitivity --shrink', 'does not take --shrink:', 'leave that out'],
  ['--sensitivity --aim limit.free --sweep', 'does not take --sweep, --aim:', 'leave that out'],
  ['--replay 7 --sensitivity', '--replay does not take --sensitivity:', 'leave that out, or --replay'],
  ['--replay 7 --sweep', 'does not take --sweep:', 'It takes --shrink, --inject, --without, --aim'],
  ['--replay 7 --pairs 5', 'does not take --pairs:', 'leave that out'],
  ['--replay 7 --minutes 1', 'does not take --minutes:', 'leave that out'],
  ['--replay 7 --seeds 1000', 'does not take --seeds:', 'leave that out'],
  ['--replay 7 --from 1', 'does not take --from:', 'leave that out'],
  ['--replay 7 --workers 2', 'does not take --workers:', 'leave that out'],
  ['--replay 0 --seeds 1', '--replay does not take --seeds:', 'leave that out'],
  ['--shrink', '--shrink', 'name the seed with --replay'],
  ['--shrink --seeds 5', '--shrink', 'name the seed with --replay'],
  ['--replay 7 --without skew.lease', 'the fence skew.lease', '--seeds 1 --from 7'],
  ['--without skew.lease,looks.strays', 'one fence at a time', 'leave all but one of skew.lease, looks.strays out'],
  ['--without nope', "'--without <names>'", 'no guard or fence nope', 'see docs/verification.md'],
  ['--aim nope', "'--aim <name>'", 'no guard or fence nope', 'see docs/verification.md'],
  ['--workers 0', "'--workers <w>'", 'It must be 1 or greater'],
  ['--seeds 0', "'--seeds <n>'", 'It must be 1 or greater'],
  ['--seeds ten', "'--seeds <n>'", 'It must be a whole number'],
  ['--from -1', "'--from <seed>'", 'It must be a whole number'],
  ['--replay 4294967296', "'--replay <seed>'", 'It must be 4294967295 or less'],
  ['--from 4294967295 --seeds 2', '--from and --seeds', 'begin earlier, or play fewer'],
  ['--minutes 0', "'--minutes <m>'", 'It must be a number greater than 0'],
  ['--inject nonsense', "'--inject <json>'", 'It must be JSON'],
  ['--inject [{"site":"x","call":0,"kind":"never"}]', "'--inject <json>'", 'kind'],
];

describe('refuses', () => {
  it.each(REFUSED)('%s', (args, ...says) => {
    expect(() => optionsFrom(args.split(' '))).toThrow('exit 1');
    for (const text of says) expect(said).toContain(text);
  });

  it('before it plays anything', () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['test/simulation/main.ts', '--shrink'], {
      encoding: 'utf8',
    });
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain('name the seed with --replay');
  });
});

const ACCEPTED: readonly (readonly [args: string, options: object])[] = [
  ['', { seeds: 1000, from: 1, workers: 2, pairs: 0, sweep: false, shrink: false, sensitivity: false }],
  ['--seeds 5 --from 0 --minutes 0.5 --workers 1', { seeds: 5, from: 0, minutes: 0.5, workers: 1 }],
  ['--pairs 5 --sweep --aim limit.free', { pairs: 5, sweep: true, aim: 'limit.free' }],
  ['--without skew.lease,run.unchanged', { without: ['skew.lease', 'run.unchanged'] }],
  ['--inject [{"site":"x","call":0,"kind":"lost"}]', { inject: [{ site: 'x', call: 0, kind: 'lost' }] }],
  ['--from 4294967295 --seeds 1', { from: 4294967295, seeds: 1 }],
  ['--replay 0', { replay: 0, shrink: false }],
  [
    '--replay 7 --shrink --inject [] --without run.unchanged --aim skew.lease',
    { replay: 7, shrink: true, inject: [], without: ['run.unchanged'], aim: 'skew.lease' },
  ],
  ['--sensitivity', { sensitivity: true, seeds: 1000 }],
  [
    '--sensitivity --seeds 5 --from 3 --workers 1 --without skew.lease,looks.strays',
    { sensitivity: true, seeds: 5, from: 3, workers: 1, without: ['skew.lease', 'looks.strays'] },
  ],
];

describe('takes', () => {
  it.each(ACCEPTED)('%s', (args, options) => {
    expect(optionsFrom(args === '' ? [] : args.split(' '))).toMatchObject(options);
    expect(said).toBe('');
  });
});
