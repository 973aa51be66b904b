/** Who hears of trouble, and what counts as trouble. */
import { CfnOutput } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { createAlarms } from '../ops/alarms.ts';
import { createComposites } from '../ops/composites.ts';
import { createDashboard } from '../ops/dashboard.ts';
import { createQueries } from '../ops/queries.ts';
import { allowAlarms, createTarget } from '../ops/targets.ts';
import { CandorStack, type Installation } from './candorStack.ts';
import type { ControlStack } from './control.ts';
import type { DataStack } from './data.ts';

export class OpsStack extends CandorStack {
  constructor(scope: Construct, installation: Installation, data: DataStack, control: ControlStack) {
    super(scope, 'ops', installation, 'Candor: alarms, their topics, a dashboard, queries');
    const { key } = data;
    if (key !== undefined) allowAlarms(this, key);
    const targets = { page: createTarget(this, 'page', key), ticket: createTarget(this, 'ticket', key) };
    const alarms = createAlarms(this, control);
    const composites = createComposites(this, alarms, targets);
    createQueries(this, control);
    if (installation.config.features.dashboard) createDashboard(this, { data, control, alarms, composites });
    new CfnOutput(this, 'AlarmTopic', { value: targets.page.topic.topicArn, description: 'Pages' });
    new CfnOutput(this, 'TicketTopic', { value: targets.ticket.topic.topicArn });
  }
}
