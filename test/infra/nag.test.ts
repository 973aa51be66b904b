/** cdk-nag's packs for AWS solutions and serverless: nothing is found that `justified.ts` does not answer. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { environmentNamed } from '../../config/environments.ts';
import { NAG } from './justified.ts';
import { synthesize } from './support.ts';

interface Report {
  readonly pluginReports: readonly {
    readonly pluginName: string;
    readonly violations: readonly {
      readonly ruleName: string;
      readonly violatingConstructs: readonly { readonly constructPath: string }[];
    }[];
  }[];
}

function findings(name: string): readonly { readonly rule: string; readonly at: string }[] {
  const { outdir } = synthesize(name, environmentNamed(name), true);
  // A failed validation is an exit code for who runs the app by itself; here the report is what counts.
  process.exitCode = 0;
  const report = JSON.parse(readFileSync(path.join(outdir, 'validation-report.json'), 'utf8')) as Report;
  const packs = report.pluginReports.filter(({ pluginName }) => ['AwsSolutions', 'Serverless'].includes(pluginName));
  expect(packs).toHaveLength(2);
  return packs.flatMap(({ violations }) =>
    violations.flatMap(({ ruleName, violatingConstructs }) =>
      violatingConstructs.map(({ constructPath }) => ({ rule: ruleName, at: constructPath })),
    ),
  );
}

it('finds nothing in development and production but what is meant, and all of that', () => {
  const found = [...findings('dev'), ...findings('prod')];
  const answers = ({ rule, at }: (typeof found)[number]) =>
    NAG.filter((justified) => justified.rule.test(rule) && justified.at.test(at));
  expect(found.filter((finding) => answers(finding).length === 0)).toEqual([]);
  const needed = new Set(found.flatMap(answers));
  expect(NAG.filter((justified) => !needed.has(justified)).map(({ rule }) => String(rule))).toEqual([]);
});
