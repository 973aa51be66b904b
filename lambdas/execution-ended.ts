/** EventBridge, "Step Functions Execution Status Change" FAILED, TIMED_OUT, ABORTED → what the execution's own Catch could not do. */
import * as z from 'zod/mini';
import { afterFailedExecution } from '../core/vms/executionEnd.ts';
import { composed } from './ports/base.ts';
import { fleetPort } from './ports/fleet.ts';
import { ExecutionEvent, InvalidEvent, wrap } from './wrap.ts';

const STATUSES = { FAILED: 'failed', TIMED_OUT: 'timed_out', ABORTED: 'aborted' } as const;

const StatusChange = z.looseObject({
  detail: z.looseObject({
    status: z.enum(['FAILED', 'TIMED_OUT', 'ABORTED']),
    executionArn: z.string(),
    /** The execution's input, as text. */
    input: z.string(),
    cause: z.nullish(z.string()),
  }),
});

const ports = composed(fleetPort);

export const handler = wrap(StatusChange, async ({ detail }) => {
  const { tenantId, runId, attempt } = inputOf(detail.input);
  const cause = detail.cause ?? `the execution ${detail.executionArn} is ${detail.status}`;
  const input = { tenantId, runId, attempt };
  await afterFailedExecution(ports(), { input, status: STATUSES[detail.status], cause });
});

function inputOf(text: string): z.output<typeof ExecutionEvent> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new InvalidEvent('the execution has no input in JSON');
  }
  const parsed = ExecutionEvent.safeParse(value);
  if (!parsed.success) throw new InvalidEvent(z.prettifyError(parsed.error));
  return parsed.data;
}
