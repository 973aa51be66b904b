/**
 * One alarm for each severity, which is what calls people: however many symptoms a fault has, it pages once. Its parts do not
 * page; each tells the ticket's audience when it begins (`alarms.tellEach`), so that a second cause under an open alarm is heard.
 */
import { AlarmRule, AlarmState, CompositeAlarm } from 'aws-cdk-lib/aws-cloudwatch';
import { OpsItemCategory, OpsItemSeverity, SnsAction, SsmAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { CandorStack } from '../stacks/candorStack.ts';
import { alarmNameOf, SEVERITIES, type Severity } from './alarm.ts';
import { descriptionOf, type SpecifiedAlarm } from './alarms.ts';
import { COMPOSITES } from './catalogue.ts';
import type { Target } from './targets.ts';

const OPS_ITEM_SEVERITIES: Readonly<Record<number, OpsItemSeverity>> = {
  1: OpsItemSeverity.CRITICAL,
  2: OpsItemSeverity.HIGH,
  3: OpsItemSeverity.MEDIUM,
  4: OpsItemSeverity.LOW,
};

export function createComposites(
  stack: CandorStack,
  alarms: readonly SpecifiedAlarm[],
  targets: Readonly<Record<Severity, Target>>,
): readonly CompositeAlarm[] {
  const { alarms: config } = stack.installation.config;
  if (config.tellEach)
    for (const { alarm } of alarms) alarm.addAlarmAction(...targets.ticket.all.map((topic) => new SnsAction(topic)));
  return SEVERITIES.map((severity) => {
    const parts = alarms.filter(({ spec }) => spec.severity === severity);
    const composite = new CompositeAlarm(stack, `composite-${severity}`, {
      compositeAlarmName: alarmNameOf(stack.installation.id, severity),
      alarmDescription: descriptionOf(stack, { name: severity, ...COMPOSITES[severity] }),
      alarmRule: AlarmRule.anyOf(...parts.map(({ alarm }) => AlarmRule.fromAlarm(alarm, AlarmState.ALARM))),
    });
    const actions = targets[severity].all.map((topic) => new SnsAction(topic));
    composite.addAlarmAction(...actions);
    composite.addOkAction(...actions);
    const opsItem = OPS_ITEM_SEVERITIES[config.opsItems[severity] ?? 0];
    if (opsItem !== undefined) composite.addAlarmAction(new SsmAction(opsItem, OpsItemCategory.AVAILABILITY));
    return composite;
  });
}
