/** For functions that look after executions which may have ended without a word. */
import { SFNClient } from '@aws-sdk/client-sfn';
import { WatchedWorkflow } from '../../adapters/aws/executionLooks.ts';
import { patience } from '../../adapters/aws/requests.ts';
import { variables } from '../environment.ts';

export function executionsPort() {
  const { CANDOR_STATE_MACHINE_ARN: machine } = variables(['CANDOR_STATE_MACHINE_ARN']);
  return { workflow: new WatchedWorkflow(new SFNClient({ requestHandler: patience() }), machine) };
}
