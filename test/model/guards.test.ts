/** The models stand for what is in core/: each thing that can be taken out of one is there, under the name that is listed. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { REMOVALS } from './guards.ts';

const root = path.join(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const guards = new Set(
  readdirSync(path.join(root, 'core'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => [...read(path.join('core', file)).matchAll(/guard\(\s*'([\w.]+)'/g)].map((match) => match[1])),
);

describe.each(REMOVALS)('$model: $name', ({ guards: names = [], checks = [], name, breaks }) => {
  it('is in core/ under that name, or in those words', () => {
    expect(names.length + checks.length).toBeGreaterThan(0);
    expect(names.filter((each) => !guards.has(each))).toEqual([]);
    for (const { file, text } of checks) expect(read(file)).toContain(text);
  });

  it('stands in the table of docs/model.md with what breaks without it', () => {
    const [row] = read('docs/model.md')
      .split('\n')
      .filter((line) => line.includes(`\`${name}\``));
    expect(row).toContain(`| I${breaks} |`);
    for (const each of names) expect(row).toContain(`\`${each}\``);
  });
});

it.each(['fire', 'run'])('what can be taken out of %s.pml is what is listed', (model) => {
  const text = read(`test/model/${model}.pml`);
  const inModel = new Set([...text.matchAll(/#ifdef WITHOUT_(\w+)/g)].map((match) => match[1]));
  const listed = REMOVALS.filter((each) => each.model === model).map((each) => each.name);
  expect([...inModel].sort()).toEqual([...listed].sort());
  expect(new Set(listed).size).toBe(listed.length);
});

it.each(REMOVALS)('$name: the invariant that it is there for is asserted in the model', ({ model, breaks }) => {
  expect(read(`test/model/${model}.pml`)).toContain(`I${breaks}(`);
  expect(read('test/model/common.pml')).toContain(`ONLY == ${breaks}\n#define I${breaks}(holds) assert(holds)`);
});
