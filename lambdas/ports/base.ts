/**
 * What every function has: the table, the state machine, time, ids and the log. A function adds what it needs besides, by
 * importing it: so no bundle holds a client that its function never calls.
 */
import { SFNClient } from '@aws-sdk/client-sfn';
import { dynamoClient } from '../../adapters/aws/client.ts';
import { EndsLeftToOthers } from '../../adapters/aws/endsLeftToOthers.ts';
import { emfMetrics } from '../../adapters/aws/metrics.ts';
import { patience } from '../../adapters/aws/requests.ts';
import { DynamoStore } from '../../adapters/aws/store.ts';
import { StepFunctionsWorkflow } from '../../adapters/aws/workflow.ts';
import { randomIds } from '../../adapters/system/ids.ts';
import { systemTime } from '../../adapters/system/time.ts';
import type { Ports } from '../../core/ports.ts';
import { coreConfig, optionalForAll, variables } from '../environment.ts';
import { log } from '../log.ts';

type Added = 'workflow' | 'clock' | 'fleet' | 'logs' | 'artifacts' | 'secrets' | 'tokens' | 'seals' | 'webhooks';
type Base = Omit<Ports, Exclude<Added, 'workflow'>>;

/** Made from the base, which some of them stand on. */
export type Additions = (base: Base) => Partial<Pick<Ports, Added>>;

/** The ports of a function, made at its first call: errors of the environment surface there, named one by one. */
export function composed(additions: Additions = () => ({})): () => Ports {
  let ports: Ports | undefined;
  return () => {
    ports ??= compose(additions);
    return ports;
  };
}

function compose(additions: Additions): Ports {
  const { CANDOR_TABLE: table, CANDOR_STATE_MACHINE_ARN: machine } = variables([
    'CANDOR_TABLE',
    'CANDOR_STATE_MACHINE_ARN',
  ]);
  const { dynamodbEndpoint: endpoint, metricsNamespace: namespace } = optionalForAll();
  const base: Base = {
    store: new DynamoStore(dynamoClient(endpoint === undefined ? {} : { endpoint }), table),
    workflow: new StepFunctionsWorkflow(new SFNClient({ requestHandler: patience() }), machine),
    ids: randomIds,
    time: systemTime,
    log,
    metrics: emfMetrics({ namespace, now: systemTime.now, write: (line) => process.stdout.write(`${line}\n`) }),
    config: coreConfig(),
  };
  return {
    ...base,
    clock: absent('clock'),
    logs: absent('logs'),
    artifacts: absent('artifacts'),
    secrets: absent('secrets'),
    tokens: absent('tokens'),
    seals: absent('seals'),
    webhooks: absent('webhooks'),
    // Whatever comes upon a VM that is to end may say so; only a few functions can ask EC2 for it.
    fleet: new EndsLeftToOthers(log),
    ...additions(base),
  };
}

/** A port that this function was composed without: that it is called at all is a fault of the composition. */
function absent<Name extends Added>(name: Name): Ports[Name] {
  const refuse = () => Promise.reject(new Error(`this function was composed without the port \`${name}\``));
  return new Proxy({}, { get: () => refuse }) as Ports[Name];
}
