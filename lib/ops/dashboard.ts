/** One page. Its top row answers what an on-call engineer asks first; below it stands what explains the answer. */
import { Duration } from 'aws-cdk-lib';
import {
  AlarmStatusWidget,
  Color,
  type CompositeAlarm,
  Dashboard,
  GraphWidget,
  type HorizontalAnnotation,
  type IMetric,
  type IWidget,
  LogQueryWidget,
  MathExpression,
  SingleValueWidget,
} from 'aws-cdk-lib/aws-cloudwatch';
import { METRICS, type MetricName } from '../../core/metrics.ts';
import { DEAD_LETTERS } from '../control/deadLetters.ts';
import type { CandorStack } from '../stacks/candorStack.ts';
import type { ControlStack } from '../stacks/control.ts';
import type { DataStack } from '../stacks/data.ts';
import { metricsNamespaceOf, type OneMetric } from './alarm.ts';
import type { SpecifiedAlarm } from './alarms.ts';
import { QUESTIONS } from './dashboardQuestions.ts';
import { dashboardNameOf } from './links.ts';
import { metricFrom } from './metrics.ts';
import { logGroupsOf } from './queries.ts';
import { QUERIES, type QuerySpec } from './queryCatalogue.ts';

const PERIOD_SECONDS = 300;
const WIDTH = 24;

export interface DashboardParts {
  readonly data: DataStack;
  readonly control: ControlStack;
  readonly alarms: readonly SpecifiedAlarm[];
  readonly composites: readonly CompositeAlarm[];
}

type Show = (measure: OneMetric, label: string) => IMetric;
type Spread = (metric: MetricName) => IMetric;

export function createDashboard(stack: CandorStack, parts: DashboardParts): void {
  const { control, alarms, composites } = parts;
  const show: Show = (measure, label) => metricFrom(measure, control, { periodSeconds: PERIOD_SECONDS, label });
  const dashboard = new Dashboard(stack, 'Dashboard', {
    dashboardName: dashboardNameOf(stack),
    defaultInterval: Duration.hours(3),
  });
  dashboard.addWidgets(...answers(show));
  dashboard.addWidgets(...states(alarms));
  dashboard.addWidgets(
    new AlarmStatusWidget({
      title: 'All alarms',
      alarms: [...composites, ...alarms.map(({ alarm }) => alarm)],
      width: WIDTH,
      height: 5,
    }),
  );
  const spread = spreadOf(metricsNamespaceOf(stack.installation.id));
  dashboard.addWidgets(...schedules(show, spread, alarms));
  dashboard.addWidgets(...runs(show, spread, alarms));
  dashboard.addWidgets(...culprits(stack, control));
  dashboard.addWidgets(...signsOfLife(show, spread));
  dashboard.addWidgets(...underneath(parts, show));
}

/** Which values a dimension has is known only when they come: each gets a line of its own. */
const spreadOf =
  (namespace: string): Spread =>
  (metric) => {
    const dimensions: readonly string[] = METRICS[metric].dimensions;
    return new MathExpression({
      expression: `SEARCH('{"${namespace}",${dimensions.join(',')}} MetricName="${metric}"', 'Sum', ${PERIOD_SECONDS})`,
      usingMetrics: {},
      period: Duration.seconds(PERIOD_SECONDS),
      label: dimensions.map((dimension) => `\${PROP('Dim.${dimension}')}`).join(' '),
    });
  };

const widthOf = (index: number) => (index === QUESTIONS.length - 1 ? WIDTH - 5 * index : 5);

const answers = (show: Show): readonly IWidget[] =>
  QUESTIONS.map(
    ({ question, values }, index) =>
      new SingleValueWidget({
        title: question,
        width: widthOf(index),
        height: 4,
        metrics: values.map(({ label, measure }) => show(measure, label)),
      }),
  );

const states = (alarms: readonly SpecifiedAlarm[]): readonly IWidget[] =>
  QUESTIONS.map(
    ({ alarms: names }, index) =>
      new AlarmStatusWidget({
        width: widthOf(index),
        height: 4,
        alarms: alarms.filter(({ spec }) => names.includes(spec.name)).map(({ alarm }) => alarm),
      }),
  );

/** The line from which on an alarm breaches. */
function limitOf(alarms: readonly SpecifiedAlarm[], name: string): HorizontalAnnotation[] {
  const found = alarms.find(({ spec }) => spec.name === name);
  if (found === undefined) throw new Error(`there is no alarm ${name}`);
  return [{ value: found.spec.threshold, label: name, color: Color.RED }];
}

const schedules = (show: Show, spread: Spread, alarms: readonly SpecifiedAlarm[]): readonly IWidget[] => [
  new GraphWidget({
    title: 'Lateness of fires (s)',
    width: 8,
    left: [
      show({ from: 'candor', metric: 'FireLatenessSeconds', statistic: 'p99' }, 'p99'),
      show({ from: 'candor', metric: 'FireLatenessSeconds', statistic: 'Minimum' }, 'the earliest'),
    ],
    leftAnnotations: limitOf(alarms, 'fires-late'),
  }),
  new GraphWidget({
    title: 'Occurrences by what became of them',
    width: 8,
    left: [spread('OccurrencesDecided')],
  }),
  new GraphWidget({ title: 'Put right by the watchdog', width: 8, left: [spread('Recoveries')] }),
];

const runs = (show: Show, spread: Spread, alarms: readonly SpecifiedAlarm[]): readonly IWidget[] => [
  new GraphWidget({ title: 'Runs by how they ended', width: 6, left: [spread('RunsEnded')] }),
  new GraphWidget({
    title: 'Waiting (s)',
    width: 6,
    left: [
      show({ from: 'candor', metric: 'QueueAgeSeconds', statistic: 'Maximum' }, 'for their turn'),
      show({ from: 'candor', metric: 'TimeToReadySeconds', statistic: 'p99' }, 'for a VM, p99'),
    ],
    leftAnnotations: limitOf(alarms, 'queue-age'),
  }),
  new GraphWidget({ title: 'Refusals of EC2, pool by pool', width: 6, left: [spread('LaunchRefusals')] }),
  new GraphWidget({
    title: 'VM seconds',
    width: 6,
    left: [spread('VmSeconds')],
    right: [show({ from: 'candor', metric: 'OrphanInstances', statistic: 'Maximum' }, 'orphan instances')],
  }),
];

const ON_DASHBOARD: readonly QuerySpec['name'][] = [
  'late-schedules',
  'stuck-runs',
  'pools-without-capacity',
  'api-5xx',
];

/** They are run when somebody looks at the page, and cost what they read. */
const culprits = (stack: CandorStack, control: ControlStack): readonly IWidget[] =>
  QUERIES.filter(({ name }) => ON_DASHBOARD.includes(name)).map(
    (query) =>
      new LogQueryWidget({
        title: query.question,
        width: WIDTH / 2,
        height: 6,
        region: stack.region,
        logGroupNames: logGroupsOf(control, query).map((logGroup) => logGroup.logGroupName),
        queryLines: [...query.lines],
      }),
  );

const signsOfLife = (show: Show, spread: Spread): readonly IWidget[] => [
  new GraphWidget({
    title: 'Signs of life',
    width: 8,
    left: [
      show({ from: 'candor', metric: 'WatchdogTicks', statistic: 'Sum' }, 'ticks of the watchdog'),
      show({ from: 'candor', metric: 'WatchdogItemFailures', statistic: 'Sum' }, 'items that it could not look at'),
      show({ from: 'candor', metric: 'WatchdogLeftOver', statistic: 'Sum' }, 'ticks with something left over'),
    ],
  }),
  new GraphWidget({
    title: 'What the audit found',
    width: 8,
    left: (['AuditMissing', 'AuditDouble', 'AuditOrphans', 'AuditLeaks', 'AuditDrifted', 'AuditUnread'] as const).map(
      (metric) => show({ from: 'candor', metric, statistic: 'Maximum' }, metric.replace('Audit', '').toLowerCase()),
    ),
    right: [show({ from: 'candor', metric: 'AuditCycles', statistic: 'Sum' }, 'audits')],
  }),
  new GraphWidget({
    title: 'API by outcome',
    width: 8,
    left: [spread('ApiRequests'), spread('ApiRefusals')],
    right: [show({ from: 'candor', metric: 'ApiLatencyMilliseconds', statistic: 'p99' }, 'latency p99 (ms)')],
  }),
];

function underneath({ data, control }: DashboardParts, show: Show): readonly IWidget[] {
  const sum = { period: Duration.seconds(PERIOD_SECONDS), statistic: 'Sum' };
  const functions = [...control.functions];
  return [
    new GraphWidget({
      title: 'Dead letters',
      width: 6,
      left: DEAD_LETTERS.map((queue) =>
        show({ from: 'queue', queue, metric: 'ApproximateNumberOfMessagesVisible', statistic: 'Maximum' }, queue),
      ),
      right: [
        show(
          { from: 'function', function: 'events', metric: 'IteratorAge', statistic: 'Maximum' },
          'fan-out behind (ms)',
        ),
      ],
    }),
    new GraphWidget({
      title: 'Table',
      width: 6,
      left: [data.table.metricConsumedReadCapacityUnits(sum), data.table.metricConsumedWriteCapacityUnits(sum)],
    }),
    new GraphWidget({
      title: 'Calls of functions',
      width: 6,
      left: functions.map(([label, { lambda }]) => lambda.metricInvocations({ ...sum, label })),
    }),
    new GraphWidget({
      title: 'Errors and throttles of functions',
      width: 6,
      left: functions.map(([label, { lambda }]) => lambda.metricErrors({ ...sum, label })),
      right: functions.map(([label, { lambda }]) => lambda.metricThrottles({ ...sum, label })),
    }),
  ];
}
