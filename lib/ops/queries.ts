/** Saved queries of CloudWatch Logs Insights: an alarm says that something is wrong, these name the culprits. */
import { CfnQueryDefinition, type LogGroup } from 'aws-cdk-lib/aws-logs';
import type { CandorStack } from '../stacks/candorStack.ts';
import type { ControlStack } from '../stacks/control.ts';
import { QUERIES, type QuerySpec } from './queryCatalogue.ts';

export function logGroupsOf(control: ControlStack, { logs }: QuerySpec): readonly LogGroup[] {
  if (logs === 'access') return [control.accessLog];
  const names = logs === 'every function' ? [...control.functions.keys()] : logs;
  return names.map((name) => control.functionNamed(name).logGroup);
}

/** The query with the question that it answers above it. */
export const queryText = ({ question, lines }: QuerySpec): string =>
  [`# ${question}`, ...lines].join('\n| ').replace('\n| ', '\n');

export function createQueries(stack: CandorStack, control: ControlStack): void {
  for (const query of QUERIES)
    new CfnQueryDefinition(stack, `query-${query.name}`, {
      // A slash makes a folder of it.
      name: `${stack.installation.id}/${query.name}`,
      queryString: queryText(query),
      logGroupNames: logGroupsOf(control, query).map((logGroup) => logGroup.logGroupName),
    });
}
