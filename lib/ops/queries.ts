/** Saved queries of CloudWatch Logs Insights that name the culprits. */
import type { CandorStack } from '../stacks/candorStack.ts';
import type { ControlStack } from '../stacks/control.ts';

export function createQueries(_stack: CandorStack, _control: ControlStack): void {}
