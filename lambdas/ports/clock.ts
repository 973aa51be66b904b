/** For functions that tell EventBridge Scheduler what a schedule's clock is. */
import { SchedulerClient } from '@aws-sdk/client-scheduler';
import { SchedulerClock } from '../../adapters/aws/clock.ts';
import { patience } from '../../adapters/aws/requests.ts';
import { systemTime } from '../../adapters/system/time.ts';
import { variables } from '../environment.ts';

export function clockPort() {
  const environment = variables([
    'CANDOR_SCHEDULE_GROUP',
    'CANDOR_SCHEDULE_ROLE_ARN',
    'CANDOR_SCHEDULE_DLQ_ARN',
    'CANDOR_FIRE_FUNCTION_ARN',
  ]);
  const clock = new SchedulerClock({
    client: new SchedulerClient({ requestHandler: patience() }),
    time: systemTime,
    groupName: environment.CANDOR_SCHEDULE_GROUP,
    fireFunctionArn: environment.CANDOR_FIRE_FUNCTION_ARN,
    roleArn: environment.CANDOR_SCHEDULE_ROLE_ARN,
    deadLetterQueueArn: environment.CANDOR_SCHEDULE_DLQ_ARN,
  });
  return { clock };
}
