/** Taking a start back, whatever the runner that prepared the folder left behind when it died. */
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { probe, refuse } from '../../runner/work.ts';

const MARK = { vmId: 'vm_none', runId: 'run_none', attempt: 1 };
let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(tmpdir(), 'candor-refuse-'));
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

describe('a start that is taken back', () => {
  it.each([
    ['nothing', undefined],
    ['a refusal', '{"refused":true}'],
    ['a refusal of which nothing was written', ''],
    ['a refusal of which half was written', '{"refu'],
  ])('is refused where the folder holds %s', (_, prepared) => {
    if (prepared !== undefined) fs.writeFileSync(path.join(folder, 'refused.json'), prepared);
    expect(refuse(folder)).toBe(true);
    expect(probe(folder, MARK, false)).toMatchObject({ shim: 'refused' });
    expect(refuse(folder)).toBe(false);
  });

  it('stands where a shim was faster', () => {
    fs.writeFileSync(path.join(folder, 'shim.json'), '{"shimPid":1,"shimStartTicks":1,"bootId":"of another boot"}');
    expect(refuse(folder)).toBe(false);
    expect(probe(folder, MARK, false)).toMatchObject({ shim: 'dead' });
  });
});
