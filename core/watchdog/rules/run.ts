/** The rules for runs, by their status. */
import { isTerminal } from '../../contract/runs.ts';
import type { RunRow } from '../../runs/model.ts';
import { dropCheck } from '../checks.ts';
import type { Look } from '../rule.ts';
import { atWorkRule } from './atWork.ts';
import { cancellingRule } from './cancelling.ts';
import { provisioningRule } from './provisioning.ts';
import { queuedRule } from './queued.ts';

export const runRule: Look<RunRow> = async (context, run) => {
  if (isTerminal(run.status)) {
    await dropCheck(context.ports, run);
    return [];
  }
  switch (run.status) {
    case 'queued':
      return queuedRule(context, run);
    case 'provisioning':
      return provisioningRule(context, run);
    case 'starting':
    case 'running':
      return atWorkRule(context, run);
    case 'cancelling':
      return cancellingRule(context, run);
  }
};
