/** What is taken out is what the source says can be: no fence without its marker, no marker without its fence. */
import { globSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isTerminal } from '../../core/contract/runStatus.ts';
import { RUN_EVENTS, RUN_TRANSITIONS } from '../../core/runs/machine.ts';
import { VM_TRANSITIONS } from '../../core/vms/machine.ts';
import { FENCES } from './fences.ts';
import {
  adaptersThatRun,
  filesOfCore,
  type Marker,
  markerOf,
  markersIn,
  markersOfFences,
  recognisedIn,
} from './markers.ts';
import { RUN_REFUSALS, VM_REFUSALS } from './tableFences.ts';

const FILES = [...filesOfCore(), ...adaptersThatRun()];
const told = ({ name, file, line }: Marker) => `${file}:${line + 1} ${name}`;

describe('the markers of fences', () => {
  it('are the fences that are taken out, each where it stands', () => {
    expect(
      FILES.flatMap((file) => markersIn(file))
        .map(told)
        .sort(),
    ).toEqual([...new Set(markersOfFences().map(told))].sort());
  });

  it('stand in no file that does not play in the simulation', () => {
    const others = globSync('{adapters,bench,bin,cli,client,config,demo,lambdas,lib,runner,scripts}/**/*.{ts,mjs}');
    expect(others.filter((file) => !FILES.includes(file) && markersIn(file).length > 0)).toEqual([]);
  });

  it('are read line by line, several names in one', () => {
    expect(markersIn('a.ts', 'const a = 1;\n  // fence: looks.a, skew.b\nconst b = 2;')).toEqual([
      { name: 'looks.a', file: 'a.ts', line: 1 },
      { name: 'skew.b', file: 'a.ts', line: 1 },
    ]);
  });
});

describe('what can be recognised as a fence', () => {
  it('is marked as one, wherever it stands', () => {
    const unmarked = FILES.flatMap((file) => {
      const marked = new Set(markersIn(file).map(({ line }) => line + 1));
      return recognisedIn(file).filter(({ line }) => !marked.has(line));
    });
    expect(unmarked).toEqual([]);
  });

  it.each([
    ['  const until = now + config.maxClockSkewSeconds * 1000;'],
    ['const GONE_MISSING_LOOKS = 2;'],
    ['const STREAM_SETTLE_MS = 1000;'],
    ['  if (now - mark.firstSeenAt < leaseMs) return undefined;'],
  ])('is told by its form: %s', (source) => {
    expect(recognisedIn('a.ts', source)).toHaveLength(1);
  });

  it('is there, in every form', () => {
    expect(new Set(FILES.flatMap((file) => recognisedIn(file).map(({ what }) => what))).size).toBe(4);
  });
});

describe('each refusal of a table of transitions', () => {
  const refusalsOfRuns = Object.entries(RUN_TRANSITIONS).flatMap(([status, answers]) =>
    RUN_EVENTS.filter((event) => answers[event].kind === 'refuse').map(
      (event) => `${isTerminal(status as keyof typeof RUN_TRANSITIONS) ? 'ended' : status}.${event}`,
    ),
  );
  const statuses = Object.keys(VM_TRANSITIONS) as (keyof typeof VM_TRANSITIONS)[];
  const refusalsOfVms = statuses.flatMap((from) =>
    statuses.filter((to) => to !== from && !VM_TRANSITIONS[from].includes(to)).map((to) => `${from}.${to}`),
  );

  it.each([
    ['runs', refusalsOfRuns, RUN_REFUSALS, 'core/runs/machine.ts'],
    ['VMs', refusalsOfVms, VM_REFUSALS, 'core/vms/machine.ts'],
  ] as const)('is taken out, or it is said why not: %s', (_, refusals, listed, file) => {
    expect([...new Set(refusals)].sort()).toEqual(Object.keys(listed).sort());
    const fences = Object.values(listed).filter((each) => !each.startsWith('none: '));
    expect(fences.filter((name) => FENCES[name]?.edits.some((each) => each.file === file) !== true)).toEqual([]);
  });
});

it('marks an edit in the line above the one in which it begins', () => {
  const [edit] = FENCES['skew.fire']?.edits ?? [];
  expect(edit && markersIn(edit.file).filter(({ line }) => line === markerOf(edit))).toMatchObject([
    { name: 'skew.fire' },
  ]);
});
