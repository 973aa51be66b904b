/**
 * The files of Candor that play in the simulation, and what is marked in them as a fence: `// fence: name, other name`, in the
 * line above the one in which it stands.
 */
import { globSync } from 'node:fs';
import path from 'node:path';
import { type Edit, FENCES, ROOT, sourceOf } from './fences.ts';

const files = (pattern: string): readonly string[] => globSync(pattern, { cwd: ROOT }).sort();

export const filesOfCore = (): readonly string[] => files('core/**/*.ts');

const IMPORTED = /(?:import|export)\b[^'";]*?\bfrom\s*'(\.[^']+)'/g;
const importsOf = (file: string): readonly string[] =>
  [...sourceOf(file).matchAll(IMPORTED)].map(([, name = '']) => path.posix.join(path.posix.dirname(file), name));

/** Those that the simulation imports, and whatever they import. */
export function adaptersThatRun(): readonly string[] {
  const found = new Set<string>();
  const visit = (file: string) => {
    for (const imported of importsOf(file))
      if (imported.startsWith('adapters/') && !found.has(imported)) {
        found.add(imported);
        visit(imported);
      }
  };
  for (const file of files('test/simulation/*.ts')) if (!file.endsWith('.test.ts')) visit(file);
  return [...found].sort();
}

export interface Marker {
  readonly name: string;
  readonly file: string;
  /** Of the marker itself; what it marks begins in the next one. */
  readonly line: number;
}

const MARKER = /^\s*\/\/ fence: (.+)$/;

export const markersIn = (file: string, source = sourceOf(file)): readonly Marker[] =>
  source
    .split('\n')
    .flatMap((text, line) => (MARKER.exec(text)?.[1] ?? '').split(', ').map((name) => ({ name, file, line })))
    .filter(({ name }) => name !== '');

/** The line above that in which an edit begins. */
export function markerOf({ file, find }: Edit): number {
  const source = sourceOf(file);
  const at = source.indexOf(find) + find.length - find.trimStart().length;
  return source.slice(0, at).split('\n').length - 2;
}

/** Where each fence is to be marked. */
export const markersOfFences = (): readonly Marker[] =>
  Object.entries(FENCES).flatMap(([name, { edits }]) =>
    edits.map((each) => ({ name, file: each.file, line: markerOf(each) })),
  );

/** What can be told from the source alone to be a fence. */
const RECOGNISED = {
  'tolerance for clocks': /\.maxClockSkewSeconds\b/,
  'how often, or for how long, something must be seen to be missing': /^const \w*(?:MISSING|SETTLE|APPEAR)\w* =/,
  'measured from the first of two looks': / - \w+\.firstSeenAt\b/,
  'silence after a gap of its own': /\bconst isHolding =/,
} as const;

export interface Place {
  readonly what: string;
  readonly file: string;
  readonly line: number;
}

export const recognisedIn = (file: string, source = sourceOf(file)): readonly Place[] =>
  source.split('\n').flatMap((text, line) =>
    Object.entries(RECOGNISED)
      .filter(([, form]) => form.test(text))
      .map(([what]) => ({ what, file, line })),
  );
