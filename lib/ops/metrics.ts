/** The metrics that alarms and the dashboard show: an alarm's data → CloudWatch's. */
import { Duration } from 'aws-cdk-lib';
import { type IMetric, MathExpression, Metric } from 'aws-cdk-lib/aws-cloudwatch';
import type { ControlStack } from '../stacks/control.ts';
import { type Measure, metricsNamespaceOf, type OneMetric } from './alarm.ts';

export interface Shown {
  readonly periodSeconds: number;
  readonly label?: string;
}

function namesOf(
  measure: OneMetric,
  control: ControlStack,
): { readonly namespace: string; readonly dimensionsMap: Record<string, string> } {
  const { id } = control.installation;
  switch (measure.from) {
    case 'candor':
      return { namespace: metricsNamespaceOf(id), dimensionsMap: { ...measure.dimensions } };
    case 'function':
      return {
        namespace: 'AWS/Lambda',
        dimensionsMap: { FunctionName: control.functionNamed(measure.function).lambda.functionName },
      };
    case 'queue':
      return { namespace: 'AWS/SQS', dimensionsMap: { QueueName: control.deadLetters[measure.queue].queueName } };
    case 'stateMachine':
      return { namespace: 'AWS/States', dimensionsMap: { StateMachineArn: control.stateMachine.stateMachineArn } };
    case 'api':
      return { namespace: 'AWS/ApiGateway', dimensionsMap: { ApiId: control.api.apiId } };
    case 'scheduler':
      return { namespace: 'AWS/Scheduler', dimensionsMap: { ScheduleGroup: id } };
  }
}

function oneMetric(measure: OneMetric, control: ControlStack, { periodSeconds, label }: Shown): Metric {
  const { metric: metricName, statistic } = measure;
  return new Metric({
    ...namesOf(measure, control),
    metricName,
    statistic,
    period: Duration.seconds(periodSeconds),
    ...(label !== undefined && { label }),
  });
}

export function metricFrom(measure: Measure, control: ControlStack, shown: Shown): IMetric {
  if (measure.from !== 'formula') return oneMetric(measure, control, shown);
  const { periodSeconds } = shown;
  return new MathExpression({
    expression: measure.formula,
    label: shown.label ?? measure.label,
    period: Duration.seconds(periodSeconds),
    usingMetrics: Object.fromEntries(
      Object.entries(measure.metrics).map(([name, each]) => [name, oneMetric(each, control, { periodSeconds })]),
    ),
  });
}
