/** What an alarm's text leads to. */
import type { CandorStack } from '../stacks/candorStack.ts';

const RUNBOOKS = 'docs/runbooks';

export const runbookOf = ({ installation }: CandorStack, name: string): string =>
  `${installation.config.alarms.runbooksUrl?.replace(/\/+$/, '') ?? RUNBOOKS}/${name}.md`;

export const dashboardNameOf = ({ installation }: CandorStack): string => installation.id;

/** Undefined where the installation has no dashboard. */
export function dashboardOf(stack: CandorStack): string | undefined {
  const { features, region } = stack.installation.config;
  if (!features.dashboard) return undefined;
  return `https://${region}.console.aws.amazon.com/cloudwatch/home?region=${region}#dashboards/dashboard/${dashboardNameOf(stack)}`;
}
