/** The alarms of the synthesized templates, as the evaluator takes them: every name as it is once it is deployed. */
import type { MissingData } from '../../support/cloudwatch/alarm.ts';
import type { MetricId } from '../../support/cloudwatch/data.ts';
import type { CompositeAlarm, MetricAlarm, MetricQuery, Watched } from '../../support/cloudwatch/monitor.ts';
import type { Json, Resource, Synthesized, Template } from '../support.ts';

const templatesOf = ({ data, fleet, control, ops }: Synthesized): readonly Template[] => [data, fleet, control, ops];

/** A resource's own name where the template gives it one; otherwise `<logical id>`, which CloudFormation makes a name of. */
function nameOf({ id, Properties }: Resource): string {
  const given = Properties?.FunctionName ?? Properties?.AlarmName ?? Properties?.TableName;
  return typeof given === 'string' ? given : `<${id}>`;
}

/** A value of a template once it is deployed, references to other stacks included. */
export function deployed(stacks: Synthesized, template: Template, value: Json): string {
  if (typeof value === 'string') return value;
  const within = (each: Json) => deployed(stacks, template, each);
  if (value?.['Fn::Join'] !== undefined) return value['Fn::Join'][1].map(within).join(value['Fn::Join'][0]);
  if (value?.['Fn::ImportValue'] !== undefined) {
    for (const other of templatesOf(stacks))
      for (const output of Object.values((other.json.Outputs ?? {}) as Record<string, Json>))
        if (output.Export?.Name === value['Fn::ImportValue']) return deployed(stacks, other, output.Value);
    throw new Error(`nothing exports ${value['Fn::ImportValue']}`);
  }
  const [id, attribute] = value?.Ref !== undefined ? [value.Ref] : (value?.['Fn::GetAtt'] ?? []);
  if (typeof id !== 'string') throw new Error(`no text for ${JSON.stringify(value)}`);
  if (id.startsWith('AWS::')) return `<${id}>`;
  const resource = template.all().find((each) => each.id === id);
  if (resource === undefined) throw new Error(`there is no ${id}`);
  return attribute === undefined ? nameOf(resource) : `<${id}.${attribute}>`;
}

function metricIdOf(stacks: Synthesized, properties: Json): MetricId {
  const dimensions = ((properties.Dimensions ?? []) as readonly Json[]).map(
    ({ Name, Value }) => [String(Name), deployed(stacks, stacks.ops, Value)] as const,
  );
  return {
    namespace: deployed(stacks, stacks.ops, properties.Namespace),
    name: properties.MetricName,
    dimensions: Object.fromEntries(dimensions),
  };
}

/** What an alarm of the template watches, and by which periods. */
function watchedBy(
  stacks: Synthesized,
  properties: Json,
): { readonly watched: Watched; readonly periodSeconds: number } {
  if (properties.Metrics === undefined) {
    const metric = metricIdOf(stacks, properties);
    const statistic = properties.Statistic ?? properties.ExtendedStatistic;
    return { watched: { kind: 'metric', metric, statistic }, periodSeconds: properties.Period };
  }
  const entries = properties.Metrics as readonly Json[];
  const expressions = entries.filter(({ Expression }) => Expression !== undefined);
  const stats = entries.filter(({ MetricStat }) => MetricStat !== undefined);
  const periods = new Set<number>(stats.map(({ MetricStat }) => MetricStat.Period));
  const [shown] = expressions;
  if (expressions.length !== 1 || !shown.ReturnData || stats.some(({ ReturnData }) => ReturnData) || periods.size !== 1)
    throw new Error(`${properties.AlarmName} must show one expression over metrics of one period`);
  const metrics = Object.fromEntries(
    stats.map(({ Id, MetricStat }): [string, MetricQuery] => [
      Id,
      { metric: metricIdOf(stacks, MetricStat.Metric), statistic: MetricStat.Stat },
    ]),
  );
  return { watched: { kind: 'math', expression: shown.Expression, metrics }, periodSeconds: [...periods][0] as number };
}

/** @throws for whatever of a template the evaluator does not play: it must not be taken for something that it is not */
function alarmOf(stacks: Synthesized, { Properties: properties }: Resource): MetricAlarm {
  const { AlarmName: name, EvaluateLowSampleCountPercentile: low, ThresholdMetricId: band } = properties;
  if (low !== undefined || band !== undefined) throw new Error(`${name} uses what the evaluator does not know`);
  return {
    name,
    ...watchedBy(stacks, properties),
    operator: properties.ComparisonOperator,
    threshold: properties.Threshold,
    evaluationPeriods: properties.EvaluationPeriods,
    datapointsToAlarm: properties.DatapointsToAlarm ?? properties.EvaluationPeriods,
    missing: (properties.TreatMissingData ?? 'missing') as MissingData,
  };
}

export interface Definitions {
  readonly alarms: readonly MetricAlarm[];
  readonly composites: readonly CompositeAlarm[];
}

/** With composite rules by the alarms' names instead of their ARNs. */
export function definitionsOf(stacks: Synthesized): Definitions {
  const resources = stacks.ops.ofType('AWS::CloudWatch::Alarm');
  const composites = stacks.ops.ofType('AWS::CloudWatch::CompositeAlarm');
  const byArn = new Map([...resources, ...composites].map((each) => [`<${each.id}.Arn>`, each.Properties.AlarmName]));
  return {
    alarms: resources.map((resource) => alarmOf(stacks, resource)),
    composites: composites.map(({ Properties: { AlarmName: name, AlarmRule: rule } }) => ({
      name,
      rule: deployed(stacks, stacks.ops, rule).replaceAll(/<[^>]+\.Arn>/g, (arn) => byArn.get(arn) ?? arn),
    })),
  };
}

export const metricsWatched = ({ watched }: MetricAlarm): readonly MetricQuery[] =>
  watched.kind === 'metric' ? [watched] : Object.values(watched.metrics);
