/**
 * `npm run audit`: asks the package registry for known vulnerabilities of what package-lock.json installs. Each must be
 * gone, or stand in config/auditExceptions.json with a reason and a date until which that holds. Exit code 1 where one does
 * not, 2 where the registry cannot be asked: nothing is known then, which is not the same as nothing found.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';

export const Exceptions = z.array(
  z.strictObject({
    /** The end of the advisory's address. */
    advisory: z.string().regex(/^GHSA(-[23456789cfghjmpqrvwx]{4}){3}$/),
    package: z.string().min(1),
    /** Why it cannot be reached, or what stands in the way of an update. */
    reason: z.string().min(40),
    until: z.iso.date(),
  }),
);
export type Exception = z.infer<typeof Exceptions>[number];

const Report = z.looseObject({
  auditReportVersion: z.literal(2),
  vulnerabilities: z.record(
    z.string(),
    z.looseObject({
      via: z.array(z.union([z.string(), z.looseObject({ name: z.string(), title: z.string(), url: z.string() })])),
    }),
  ),
});

/** What is wrong, line by line; undefined where the text is no report. */
export function judge(text: string, exceptions: readonly Exception[], today: string): readonly string[] | undefined {
  const report = Report.safeParse(parsed(text));
  if (!report.success) return undefined;
  // A package that only depends on a vulnerable one names it; the advisory stands with the vulnerable one itself.
  const found = Object.values(report.data.vulnerabilities).flatMap(({ via }) =>
    via.filter((each) => typeof each !== 'string'),
  );
  const advisories = new Map(found.map((each) => [each.url.split('/').at(-1) ?? each.url, each]));
  const covers = (advisory: string, name: string) =>
    exceptions.some((each) => each.advisory === advisory && each.package === name && each.until >= today);
  return [
    ...[...advisories]
      .filter(([advisory, { name }]) => !covers(advisory, name))
      .map(([advisory, { name, title }]) => `${name}: ${title} (${advisory})`),
    ...exceptions
      .filter(({ advisory }) => !advisories.has(advisory))
      .map(({ advisory }) => `${advisory} is excepted and not found any more: take the exception out`),
  ];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export const readExceptions = (): readonly Exception[] =>
  Exceptions.parse(JSON.parse(readFileSync(path.join(import.meta.dirname, '../config/auditExceptions.json'), 'utf8')));

if (import.meta.main) {
  const { stdout } = spawnSync('npm', ['audit', '--json'], { encoding: 'utf8', maxBuffer: 2 ** 26 });
  const faults = judge(stdout, readExceptions(), new Date().toISOString().slice(0, 10));
  process.stdout.write(
    faults === undefined
      ? 'not audited: the package registry answers no audits\n'
      : faults.length === 0
        ? 'no known vulnerability without an exception\n'
        : `${faults.join('\n')}\n`,
  );
  process.exitCode = faults === undefined ? 2 : faults.length === 0 ? 0 : 1;
}
