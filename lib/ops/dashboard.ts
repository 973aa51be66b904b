/** One page: is it alive, does it deliver, what does it cost in calls. */
import { Duration } from 'aws-cdk-lib';
import { AlarmStatusWidget, type CompositeAlarm, Dashboard, GraphWidget } from 'aws-cdk-lib/aws-cloudwatch';
import type { CandorStack } from '../stacks/candorStack.ts';
import type { ControlStack } from '../stacks/control.ts';
import type { DataStack } from '../stacks/data.ts';
import type { SpecifiedAlarm } from './alarms.ts';

export interface DashboardParts {
  readonly data: DataStack;
  readonly control: ControlStack;
  readonly alarms: readonly SpecifiedAlarm[];
  readonly composites: readonly CompositeAlarm[];
}

export function createDashboard(stack: CandorStack, { data, control, alarms, composites }: DashboardParts): void {
  const period = Duration.minutes(5);
  const sum = { period, statistic: 'Sum' };
  const functions = [...control.functions];
  const dashboard = new Dashboard(stack, 'Dashboard', { dashboardName: stack.installation.id });
  dashboard.addWidgets(
    new AlarmStatusWidget({
      title: 'Alarms',
      alarms: [...composites, ...alarms.map(({ alarm }) => alarm)],
      width: 24,
      height: 3,
    }),
  );
  dashboard.addWidgets(
    new GraphWidget({
      title: 'API',
      left: [control.api.metricCount(sum), control.api.metricClientError(sum), control.api.metricServerError(sum)],
      right: [control.api.metricLatency({ period, statistic: 'p99' })],
    }),
    new GraphWidget({
      title: 'VMs asked for',
      left: [
        control.stateMachine.metricStarted(sum),
        control.stateMachine.metricSucceeded(sum),
        control.stateMachine.metricFailed(sum),
        control.stateMachine.metricTimedOut(sum),
        control.stateMachine.metricAborted(sum),
      ],
    }),
    new GraphWidget({
      title: 'Fan-out',
      left: [control.functionNamed('events').lambda.metric('IteratorAge', { period, statistic: 'Maximum' })],
    }),
    new GraphWidget({
      title: 'Table',
      left: [data.table.metricConsumedReadCapacityUnits(sum), data.table.metricConsumedWriteCapacityUnits(sum)],
    }),
  );
  dashboard.addWidgets(
    new GraphWidget({
      title: 'Calls',
      width: 12,
      left: functions.map(([label, { lambda }]) => lambda.metricInvocations({ ...sum, label })),
    }),
    new GraphWidget({
      title: 'Errors',
      width: 12,
      left: functions.map(([label, { lambda }]) => lambda.metricErrors({ ...sum, label })),
    }),
  );
}
