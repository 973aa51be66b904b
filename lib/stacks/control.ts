/** The control plane: API, functions, state machine, clock, and what calls them. */
import type { HttpApi } from 'aws-cdk-lib/aws-apigatewayv2';
import type { LogGroup } from 'aws-cdk-lib/aws-logs';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { lambdaNames } from '../bundle/lambdas.ts';
import { createClock } from '../control/clock.ts';
import { CandorFunction, type CandorFunctionOptions } from '../control/function.ts';
import { allowRegistration, createDoor } from '../control/httpApi.ts';
import { createDeadLetters, type DeadLetters } from '../control/queues.ts';
import { giveRights } from '../control/rights.ts';
import { createStateMachine } from '../control/stateMachine.ts';
import { surroundings } from '../control/surroundings.ts';
import {
  auditEveryQuarter,
  consumeStream,
  hearOfEnds,
  sendAsTheyCome,
  sendEveryMinute,
  tickEveryMinute,
} from '../control/triggers.ts';
import { createLaunchTemplate } from '../fleet/launchTemplate.ts';
import { poolsOf } from '../fleet/pools.ts';
import { CandorStack, type Installation } from './candorStack.ts';
import type { DataStack } from './data.ts';
import type { FleetStack } from './fleet.ts';

/** What differs between the functions, besides their rights. Timeouts stay below those of whoever waits. */
const functionOptions = (deadLetters: DeadLetters): Readonly<Record<string, Omit<CandorFunctionOptions, 'name'>>> => ({
  api: { description: 'The HTTP API', timeoutSeconds: 29, memoryMiB: 1024 },
  register: { description: 'Registration of runners on instances', timeoutSeconds: 20 },
  fire: {
    description: 'A schedule’s clock has struck',
    timeoutSeconds: 30,
    asynchronous: { retries: 2, maxAgeSeconds: 3600, failures: deadLetters.fire },
  },
  events: { description: 'Fan-out of events from the table’s stream', timeoutSeconds: 120 },
  deliver: {
    description: 'Sends webhooks: as they come, and those that are to be tried again',
    // Several tries, one after the other in each lane; the last one may take all of its time.
    timeoutSeconds: 58,
    asynchronous: { retries: 0, maxAgeSeconds: 60 },
  },
  watchdog: {
    description: 'One tick of the watchdog',
    // Shorter than the minute: two ticks never run at once.
    timeoutSeconds: 55,
    memoryMiB: 1024,
    asynchronous: { retries: 0, maxAgeSeconds: 60 },
  },
  audit: {
    description: 'The slower look at everything: what should be against what is',
    timeoutSeconds: 300,
    memoryMiB: 1024,
    asynchronous: { retries: 0, maxAgeSeconds: 3600 },
  },
  'execution-ended': {
    description: 'The line behind provision-vm’s own Catch',
    timeoutSeconds: 60,
    asynchronous: { retries: 2, maxAgeSeconds: 21_600, failures: deadLetters['execution-ended'] },
  },
  'launch-vm': { description: 'provision-vm: LaunchVm', timeoutSeconds: 55 },
  'await-ready': { description: 'provision-vm: AwaitReady', timeoutSeconds: 30 },
  'dispatch-run': { description: 'provision-vm: DispatchRun', timeoutSeconds: 30 },
  'release-vm': { description: 'provision-vm: ReleaseVm', timeoutSeconds: 90 },
  'fail-run': { description: 'provision-vm: FailRun', timeoutSeconds: 30 },
});

export class ControlStack extends CandorStack {
  readonly api: HttpApi;
  readonly accessLog: LogGroup;
  readonly stateMachine: StateMachine;
  readonly deadLetters: DeadLetters;
  readonly functions: ReadonlyMap<string, CandorFunction>;

  constructor(scope: Construct, installation: Installation, data: DataStack, fleet: FleetStack) {
    super(scope, 'control', installation, 'Candor: API, functions, state machine, clock, launch template of VMs');
    this.deadLetters = createDeadLetters(this);
    const options = functionOptions(this.deadLetters);
    this.functions = new Map(
      lambdaNames().map((name) => {
        const own = options[name];
        if (own === undefined) throw new Error(`lambdas/${name}.ts has no line in lib/stacks/control.ts`);
        return [name, new CandorFunction(this, { name, ...own })] as const;
      }),
    );
    const door = createDoor(this, this.functionNamed('api'), this.functionNamed('register'));
    this.api = door.api;
    this.accessLog = door.accessLog;
    allowRegistration(this, door, fleet.vmRole);
    const clock = createClock(this, this.functionNamed('fire'), this.deadLetters.schedule);
    this.stateMachine = createStateMachine(this, (name) => this.functionNamed(name));
    const { network, vmRole } = fleet;
    const pools = poolsOf(this, network);
    const launchTemplate = createLaunchTemplate(this, fleet, pools, door.url);
    const around = surroundings(this, { data, fleet: { network, vmRole, pools, launchTemplate }, clock });
    for (const [name, target] of this.functions) giveRights(name, target, around);
    consumeStream(this, this.functionNamed('events'), data.table, this.deadLetters.events);
    sendAsTheyCome(this, this.functionNamed('deliver'), data.table);
    tickEveryMinute(this, this.functionNamed('watchdog'));
    sendEveryMinute(this, this.functionNamed('deliver'));
    auditEveryQuarter(this, this.functionNamed('audit'));
    hearOfEnds(this, this.functionNamed('execution-ended'), this.stateMachine, this.deadLetters['execution-ended']);
  }

  functionNamed(name: string): CandorFunction {
    const found = this.functions.get(name);
    if (found === undefined) throw new Error(`there is no lambdas/${name}.ts`);
    return found;
  }
}
