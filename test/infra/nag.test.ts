/** cdk-nag's packs for AWS solutions and serverless: nothing is found that `justified.ts` does not answer. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { expect, it } from 'vitest';
import { environmentNamed } from '../../config/environments.ts';
import { addStacks } from '../../lib/app.ts';
import { NAG } from './justified.ts';
import { context, temporary } from './support.ts';

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
  const outdir = temporary();
  const app = new App({ outdir, context });
  addStacks(app, name, environmentNamed(name));
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new ServerlessChecks(app));
  // It writes its report, and then it throws what it has found.
  expect(() => app.synth()).toThrow(expect.objectContaining({ name: 'ValidationFailed' }));
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
