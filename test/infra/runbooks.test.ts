/** What runbooks and alarms tell people to paste: commands that there are, on things that are there, read-only under Verify. */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { programOf } from '../../cli/main.ts';
import { Host } from '../../cli/session.ts';
import { AlarmConfig } from '../../config/alarms.ts';
import { METRICS } from '../../core/metrics.ts';
import { ROOT } from '../../lib/bundle/paths.ts';
import { alarmCatalogue, COMPOSITES } from '../../lib/ops/catalogue.ts';
import { environment, type Json } from './support.ts';

const FOLDER = path.join(ROOT, 'docs/runbooks');
const PAGES = globSync('*.md', { cwd: FOLDER }).sort();
const read = (page: string) => readFileSync(path.join(FOLDER, page), 'utf8');
const SPECS = alarmCatalogue(AlarmConfig.parse(undefined).thresholds);

interface Pasted {
  readonly where: string;
  readonly line: string;
}

const blocksOf = (text: string) =>
  [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap((match) => (match[1] ?? '').split('\n'));
const spansOf = (text: string) =>
  [...text.replaceAll(/```[\s\S]*?```/g, '').matchAll(/`([^`]+)`/g)].map((match) =>
    (match[1] ?? '').replaceAll(/\s+/g, ' '),
  );
const sectionOf = (text: string, title: string) => text.split(`\n## ${title}\n`)[1]?.split('\n## ')[0] ?? '';

/** Everything that begins as a command does. */
const pasted: readonly Pasted[] = [
  ...PAGES.flatMap((page) => [...blocksOf(read(page)), ...spansOf(read(page))].map((line) => ({ where: page, line }))),
  ...[...SPECS, ...Object.values(COMPOSITES)].map(({ firstCommand: line }) => ({ where: 'catalogue', line })),
].filter(({ line }) => /^(candor|aws|npx) /.test(line));

const root = programOf(new Host());

/** What is wrong with a command line of ours: no such command, or no such option. */
function faultOf(line: string): string | undefined {
  let command: Command = root;
  for (const word of line.split(' ').slice(1)) {
    const next = command.commands.find((each) => each.name() === word);
    if (next !== undefined) {
      command = next;
      continue;
    }
    if (command.commands.length > 0) return `candor has no ${word}`;
    const option = /^--[\w-]+/.exec(word)?.[0];
    if (option !== undefined && !command.options.some(({ long }) => long === option))
      return `${command.name()} has no ${option}`;
  }
  return undefined;
}

describe('commands of candor', () => {
  it('exist, with their options', () => {
    const own = pasted.filter(({ line }) => line.startsWith('candor '));
    expect(own.length).toBeGreaterThan(50);
    expect(
      own.flatMap(({ where, line }) => (faultOf(line) === undefined ? [] : [`${where}: ${line}: ${faultOf(line)}`])),
    ).toEqual([]);
    expect(faultOf('candor runs lost')).toBe('candor has no lost');
    expect(faultOf('candor runs list --nonsense x')).toBe('list has no --nonsense');
  });
});

/** Every text of the templates, and the names of the stacks. */
function namesOf(): ReadonlySet<string> {
  const { data, fleet, control, ops } = environment('dev');
  const found = new Set(['data', 'fleet', 'control', 'ops'].map((part) => `candor-dev-${part}`));
  const walk = (value: Json): void => {
    if (typeof value === 'string') found.add(value);
    else if (typeof value === 'object' && value !== null) for (const each of Object.values(value)) walk(each);
  };
  for (const template of [data, fleet, control, ops]) walk(template.json);
  return found;
}

describe('what commands name', () => {
  it('is there: log groups, functions, rules, queues, groups, queries, stacks', () => {
    const names = namesOf();
    const named = /[\w/]*(?:\$CANDOR_INSTALLATION|\{id\})[\w/-]*/g;
    const texts = [
      ...PAGES.map((page) => ({ where: page, line: read(page) })),
      ...pasted.filter(({ where }) => where === 'catalogue'),
    ];
    const found = texts.flatMap(({ where, line }) =>
      [...line.matchAll(named)].map(([name]) => ({
        where,
        name: name.replace('$CANDOR_INSTALLATION', 'candor-dev').replace('{id}', 'candor-dev'),
      })),
    );
    expect(found.length).toBeGreaterThan(80);
    // `candor-dev-` is the beginning of every alarm's name.
    expect(found.filter(({ name }) => !names.has(name) && name !== 'candor-dev-')).toEqual([]);
  });

  it('is written: fields and events that are looked for in the log', () => {
    const source = globSync('{core,adapters,lambdas}/**/*.ts', { cwd: ROOT })
      .map((file) => readFileSync(path.join(ROOT, file), 'utf8'))
      .join('\n');
    const fields = new Set([...Object.keys(METRICS), 'message', 'level', 'rule', 'class', 'status', 'path']);
    for (const { where, line } of pasted) {
      for (const [, field] of line.matchAll(/\$\.(\w+)/g)) expect([where, fields.has(field!)]).toEqual([where, true]);
      for (const [, event] of line.matchAll(/\$\.message = "([\w.]+)"/g))
        expect([where, source.includes(`'${event}'`)]).toEqual([where, true]);
      for (const [, rule] of line.matchAll(/\$\.rule = "(\w+)"/g))
        expect([where, source.includes(`rule: '${rule}'`)]).toEqual([where, true]);
    }
  });
});

describe('under Verify, and as the first command,', () => {
  const AWS = /^aws [\w-]+ (describe|get|list|tail|filter-log-events|head)[\w-]*/;
  const CANDOR =
    /^candor (doctor|health|audit|system|(runs|vms|agents|schedules) (list|get|explain|events|logs|children|runs|occurrences|upcoming|revisions)|dlq (list|peek))\b/;

  it('nothing changes anything', () => {
    const lines = [
      ...PAGES.flatMap((page) => blocksOf(sectionOf(read(page), 'Verify'))).filter((line) => line !== ''),
      ...[...SPECS, ...Object.values(COMPOSITES)].map(({ firstCommand }) => firstCommand),
    ];
    expect(lines.length).toBeGreaterThan(100);
    expect(lines.filter((line) => !AWS.test(line) && !CANDOR.test(line))).toEqual([]);
    // What stands inside a command is one too.
    const inner = lines.flatMap((line) => [...line.matchAll(/\$\((aws [^)]*)\)/g)].map((match) => match[1] ?? ''));
    expect(inner.filter((line) => !AWS.test(line))).toEqual([]);
  });
});
