/** The catalogue as CloudWatch's alarms: each says what it means, what to paste first and where to read on. */
import { Alarm, ComparisonOperator, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import type { CandorStack } from '../stacks/candorStack.ts';
import type { ControlStack } from '../stacks/control.ts';
import { type AlarmSpec, alarmNameOf, evaluatedOn } from './alarm.ts';
import { alarmCatalogue } from './catalogue.ts';
import { dashboardOf, runbookOf } from './links.ts';
import { metricFrom } from './metrics.ts';

/** CloudWatch keeps no more of a description. */
const DESCRIPTION_CHARACTERS_MAX = 1024;

const OPERATORS: Readonly<Record<AlarmSpec['breaches'], ComparisonOperator>> = {
  at_least: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
  less_than: ComparisonOperator.LESS_THAN_THRESHOLD,
};
const MISSING: Readonly<Record<AlarmSpec['missing'], TreatMissingData>> = {
  breaching: TreatMissingData.BREACHING,
  notBreaching: TreatMissingData.NOT_BREACHING,
  ignore: TreatMissingData.IGNORE,
};

type Texts = Pick<AlarmSpec, 'name' | 'impact' | 'firstCommand'>;

/** @throws Error where CloudWatch would refuse it */
export function descriptionOf(stack: CandorStack, { name, impact, firstCommand }: Texts): string {
  const dashboard = dashboardOf(stack);
  const text = [
    impact,
    `First: ${firstCommand.replaceAll('{id}', stack.installation.id)}`,
    `Runbook: ${runbookOf(stack, name)}`,
    ...(dashboard === undefined ? [] : [`Dashboard: ${dashboard}`]),
  ].join('\n');
  if (text.length > DESCRIPTION_CHARACTERS_MAX)
    throw new Error(
      `The description of ${name} has ${text.length} characters, ${DESCRIPTION_CHARACTERS_MAX} fit; shorten alarms.runbooksUrl or its impact`,
    );
  return text;
}

export interface SpecifiedAlarm {
  readonly spec: AlarmSpec;
  readonly alarm: Alarm;
}

export function createAlarms(stack: CandorStack, control: ControlStack): readonly SpecifiedAlarm[] {
  const { id, config } = stack.installation;
  return alarmCatalogue(config.alarms.thresholds).map((spec) => ({
    spec,
    alarm: new Alarm(stack, spec.name, {
      alarmName: alarmNameOf(id, spec.name),
      alarmDescription: descriptionOf(stack, spec),
      metric: metricFrom(evaluatedOn(spec), control, { periodSeconds: spec.periodSeconds }),
      threshold: spec.threshold,
      comparisonOperator: OPERATORS[spec.breaches],
      datapointsToAlarm: spec.points.breaching,
      evaluationPeriods: spec.points.of,
      treatMissingData: MISSING[spec.missing],
    }),
  }));
}
