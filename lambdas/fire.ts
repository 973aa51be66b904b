/** EventBridge Scheduler → `fire`. */
import { FireEvent, nominalTime } from '../core/contract/fire.ts';
import { fire } from '../core/schedules/fire.ts';
import { composed } from './ports/base.ts';
import { wrap } from './wrap.ts';

const ports = composed();

export const handler = wrap(FireEvent, async (event) => {
  const scheduledTime = nominalTime(event.scheduledTime);
  return fire(ports(), {
    scheduleId: event.scheduleId,
    ...(scheduledTime !== undefined && { scheduledTime }),
    ...(event.specVersion !== undefined && { specVersion: event.specVersion }),
    ...(event.agentId !== undefined && { agentId: event.agentId }),
    ...(event.principalId !== undefined && { principalId: event.principalId }),
  });
});
