/** What must wake somebody. Each alarm has its section in `docs/runbooks.md`. */
import { Duration } from 'aws-cdk-lib';
import {
  Alarm,
  ComparisonOperator,
  type IMetric,
  MathExpression,
  Metric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { FilterPattern, MetricFilter } from 'aws-cdk-lib/aws-logs';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { DEAD_LETTERS } from '../control/queues.ts';
import type { CandorStack } from '../stacks/candorStack.ts';
import type { ControlStack } from '../stacks/control.ts';

interface AlarmOptions {
  readonly name: string;
  readonly description: string;
  readonly metric: IMetric;
  readonly operator?: ComparisonOperator;
  readonly threshold: number;
  readonly periods?: number;
  /** Absent data is no news for a count of failures, and the worst news for a sign of life. */
  readonly missing?: TreatMissingData;
}

const minute = Duration.minutes(1);
const fiveMinutes = Duration.minutes(5);

function watchdogAlarm(control: ControlStack): AlarmOptions {
  const { lambda } = control.functionNamed('watchdog');
  const metric = new MathExpression({
    expression: 'FILL(invocations, 0) - FILL(errors, 0)',
    usingMetrics: {
      invocations: lambda.metricInvocations({ period: minute, statistic: 'Sum' }),
      errors: lambda.metricErrors({ period: minute, statistic: 'Sum' }),
    },
    label: 'ticks that ended well',
    period: minute,
  });
  return {
    name: 'watchdog-silent',
    description: 'No tick of the watchdog has ended well for three minutes: nothing recovers by itself',
    metric,
    operator: ComparisonOperator.LESS_THAN_THRESHOLD,
    threshold: 1,
    periods: 3,
    missing: TreatMissingData.BREACHING,
  };
}

const deadLetterAlarms = (control: ControlStack): readonly AlarmOptions[] =>
  DEAD_LETTERS.map((name) => ({
    name: `${name}-dead-letters`,
    description: `Something for ${name} could not be delivered and waits in its queue`,
    metric: control.deadLetters[name].metricApproximateNumberOfMessagesVisible({
      period: minute,
      statistic: 'Maximum',
    }),
    threshold: 1,
  }));

function executionAlarm(control: ControlStack): AlarmOptions {
  // Aborted ones are none of this: that is how a cancel ends an execution.
  const metric = new MathExpression({
    expression: 'FILL(failed, 0) + FILL(timedOut, 0)',
    usingMetrics: {
      failed: control.stateMachine.metricFailed({ period: fiveMinutes, statistic: 'Sum' }),
      timedOut: control.stateMachine.metricTimedOut({ period: fiveMinutes, statistic: 'Sum' }),
    },
    label: 'runs that got no VM',
    period: fiveMinutes,
  });
  return {
    name: 'executions-failed',
    description: 'Attempts to give runs a VM have failed, some of which were tried again; each run says why',
    metric,
    threshold: 3,
  };
}

function apiAlarm(control: ControlStack): AlarmOptions {
  return {
    name: 'api-5xx',
    description: 'The API fails for its callers, runners among them',
    metric: control.api.metricServerError({ period: fiveMinutes, statistic: 'Sum' }),
    threshold: 5,
  };
}

function streamAlarm(control: ControlStack): AlarmOptions {
  return {
    name: 'events-behind',
    description: 'Fan-out is more than five minutes behind the table: notifications and follow-ups are late',
    metric: control.functionNamed('events').lambda.metric('IteratorAge', { period: minute, statistic: 'Maximum' }),
    threshold: Duration.minutes(5).toMilliseconds(),
    periods: 5,
  };
}

function clockAlarm(control: ControlStack): AlarmOptions {
  const dropped = new Metric({
    namespace: 'AWS/Scheduler',
    metricName: 'InvocationDroppedCount',
    dimensionsMap: { ScheduleGroup: control.installation.id },
    period: fiveMinutes,
    statistic: 'Sum',
  });
  return {
    name: 'clock-dropped',
    description: 'EventBridge Scheduler gave up calling fire; the watchdog catches up with what was due',
    metric: dropped,
    threshold: 1,
  };
}

/** Functions whose errors nobody else would see: their callers do not wait. */
const errorAlarms = (control: ControlStack): readonly AlarmOptions[] =>
  ['fire', 'events', 'execution-ended', 'register'].map((name) => ({
    name: `${name}-errors`,
    description: `${name} fails again and again`,
    metric: control.functionNamed(name).lambda.metricErrors({ period: fiveMinutes, statistic: 'Sum' }),
    threshold: 5,
    periods: 2,
  }));

/** What launches say in their log that somebody has to act on. */
const LAUNCH_WORDS = {
  'launch-quota': [
    'launch.quota',
    'A quota of the account is used up: runs wait for their VMs until it is raised or others end',
  ],
  'launch-misconfigured': [
    'launch.misconfigured',
    'EC2 refuses launches as they are configured: runs that need them fail at once',
  ],
  'launch-unknown-code': [
    'launch.unknown_code',
    'EC2 has answered a launch with a code that Candor does not know, and its run has failed',
  ],
} as const;

function launchAlarms(stack: CandorStack, control: ControlStack): readonly AlarmOptions[] {
  const { logGroup } = control.functionNamed('launch-vm');
  return Object.entries(LAUNCH_WORDS).map(([name, [word, description]]) => {
    const filter = new MetricFilter(stack, `${name}-filter`, {
      logGroup,
      filterPattern: FilterPattern.stringValue('$.message', '=', word),
      metricNamespace: 'Candor',
      metricName: `${stack.installation.id}-${name}`,
      metricValue: '1',
    });
    return { name, description, metric: filter.metric({ period: fiveMinutes, statistic: 'Sum' }), threshold: 1 };
  });
}

export function createAlarms(stack: CandorStack, control: ControlStack, topics: readonly ITopic[]): readonly Alarm[] {
  const all = [
    watchdogAlarm(control),
    ...deadLetterAlarms(control),
    executionAlarm(control),
    apiAlarm(control),
    streamAlarm(control),
    clockAlarm(control),
    ...errorAlarms(control),
    ...launchAlarms(stack, control),
  ];
  return all.map((options) => {
    const alarm = new Alarm(stack, options.name, {
      alarmName: `${stack.installation.id}-${options.name}`,
      alarmDescription: `${options.description}. Runbook: docs/runbooks.md#${options.name}`,
      metric: options.metric,
      threshold: options.threshold,
      evaluationPeriods: options.periods ?? 1,
      comparisonOperator: options.operator ?? ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: options.missing ?? TreatMissingData.NOT_BREACHING,
    });
    for (const topic of topics) {
      alarm.addAlarmAction(new SnsAction(topic));
      alarm.addOkAction(new SnsAction(topic));
    }
    return alarm;
  });
}
