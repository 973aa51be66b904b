/**
 * Every rule: the stuck state is reached (something is killed, cut off, lost or late; no stuck row is written), found and
 * put right, with what was seen, what was done, an event, a line and a measurement; and what is almost that is left alone.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RECOVERIES, type Recovery } from '../../../core/watchdog/recoveries.ts';
import { ROOT } from '../../../lib/bundle/paths.ts';
import { type TestEngine, testEngine } from '../../support/world.ts';
import { AT_WORK_CASES } from './cases/atWork.ts';
import { QUEUED_CASES } from './cases/queued.ts';
import { SCHEDULE_CASES } from './cases/schedules.ts';
import { VM_CASES } from './cases/vms.ts';
import { expectLeftAlone, expectTold, type RuleCase, Scene } from './scene.ts';

const CASES: Readonly<Record<Recovery, readonly RuleCase[]>> = {
  ...QUEUED_CASES,
  ...AT_WORK_CASES,
  ...VM_CASES,
  ...SCHEDULE_CASES,
};

let engine: TestEngine;
beforeAll(async () => {
  engine = await testEngine();
});
afterAll(() => engine.stop());

const sceneOf = async () => new Scene(await engine.world());

describe.each(Object.entries(CASES) as [Recovery, readonly RuleCase[]][])('%s', { timeout: 120_000 }, (rule, cases) => {
  describe.each(cases)('$stuck', ({ found, almost, leftAlone, besides }) => {
    it('is found, put right and told', async () => {
      const scene = await sceneOf();
      await expectTold(scene, rule, await found(scene));
    });

    it(`is left alone where ${almost}`, async () => {
      const scene = await sceneOf();
      await leftAlone(scene);
      expectLeftAlone(scene, rule, besides);
    });
  });
});

describe('no rule', () => {
  /** The words that the sources use for a recovery, wherever they are. */
  const used = ['core/watchdog', 'core/watchdog/rules', 'core/vms'].flatMap((folder) =>
    readdirSync(path.join(ROOT, folder))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(path.join(ROOT, folder, name), 'utf8'))
      .flatMap((text) => [
        ...[...text.matchAll(/\brule: '(\w+)'/g)].map(([, word]) => word),
        ...[...text.matchAll(/\brecovered\(ports, '(\w+)'\)/g)].map(([, word]) => word),
      ]),
  );

  it('is without a case, and no case is for a rule that is none', () => {
    expect(Object.keys(CASES).sort()).toEqual(Object.keys(RECOVERIES).sort());
    for (const cases of Object.values(CASES)) expect(cases.length).toBeGreaterThan(0);
  });

  it('is named that nobody acts on, and nobody acts under another name', () => {
    expect([...new Set(used)].sort()).toEqual(Object.keys(RECOVERIES).sort());
  });
});
