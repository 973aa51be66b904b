import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArtifactGlob } from '../../../core/contract/agentParts.ts';
import { globMatcher, normalGlob } from '../../../core/contract/glob.ts';

/** What a pattern means, said in one expression; its effort is not bounded, so only short ones are asked of it. */
function meaning(pattern: string): RegExp {
  const source = pattern.replace(/\*\*\/|\*\*|\*|\?|[.+^${}()|[\]\\]/g, (token) => {
    if (token === '**/') return '(?:.*/)?';
    if (token === '**') return '.*';
    if (token === '*') return '[^/]*';
    return token === '?' ? '[^/]' : `\\${token}`;
  });
  return new RegExp(`^${source}(?:/.*)?$`, 's');
}

const text = (...units: string[]) => fc.array(fc.constantFrom(...units), { maxLength: 9 }).map((each) => each.join(''));

describe('a glob', () => {
  it('matches what it means, whatever the pattern and the path', () => {
    const patterns = text('a', 'b', '.', '/', '*', '?', '**', '**/', '+', '\n', '😀');
    const paths = text('a', 'b', '.', '/', '/', '\n', '+', '😀');
    fc.assert(
      fc.property(patterns, paths, (pattern, path) => {
        fc.pre(normalGlob(pattern) !== '');
        expect(globMatcher(pattern)(path)).toBe(meaning(normalGlob(pattern)).test(path));
      }),
      { numRuns: 20_000 },
    );
  });

  it.each([
    ['out/*.log', 'out/x.log', true],
    ['out/*.log', 'out/deep/x.log', false],
    ['**/x', 'x', true],
    ['**/x', 'a/b/x', true],
    ['**/x', 'ax', false],
    ['out', 'out/deep/x', true],
    ['out', 'outer', false],
    ['a**b', 'a/x/b', true],
    ['?', '/', false],
  ])('%s and %s: %s', (pattern, path, matches) => {
    expect(globMatcher(pattern)(path)).toBe(matches);
  });

  it.each([
    ['**/'.repeat(85), 'a/'.repeat(500)],
    [`${'**/'.repeat(6)}zzz`, `${'a/'.repeat(100)}b`],
    [`${'*a'.repeat(127)}z`, 'a'.repeat(1000)],
    [`${'**a'.repeat(85)}z`, 'a'.repeat(1000)],
    ['*'.repeat(255), `${'a'.repeat(1000)}/`],
  ])('comes to an end: %#', (pattern, path) => {
    expect([true, false]).toContain(globMatcher(pattern)(path));
  });
});

describe('the globs of an agent', () => {
  it.each([
    ['./report.md', 'report.md'],
    ['a//b', 'a/b'],
    ['out/./x', 'out/x'],
    ['out/', 'out'],
    ['.hidden/..x', '.hidden/..x'],
    ['**/*.md', '**/*.md'],
  ])('%s is kept as %s, and matches what is collected by that name', (glob, kept) => {
    expect(ArtifactGlob.parse(glob)).toBe(kept);
    expect(globMatcher(glob)(kept)).toBe(true);
  });

  it.each(['', '.', './', './/.', '/', '../x', 'a/..'])('%j is none', (glob) => {
    const { error } = ArtifactGlob.safeParse(glob);
    expect(error?.issues).toHaveLength(1);
  });
});
