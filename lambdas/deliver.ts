/** The table's stream (deliveries as they are made) and EventBridge (every minute: those that are due again) → sending webhooks. */
import * as z from 'zod/mini';
import { DELIVERY_PREFIX } from '../core/table/keys.ts';
import { idOf, sendAll, sendDue } from '../core/webhooks/due.ts';
import { composed } from './ports/base.ts';
import { webhookPorts } from './ports/webhooks.ts';
import { wrap } from './wrap.ts';

const StreamEvent = z.looseObject({
  Records: z.array(
    z.looseObject({ dynamodb: z.looseObject({ Keys: z.looseObject({ pk: z.looseObject({ S: z.string() }) }) }) }),
  ),
});
const Minute = z.looseObject({ source: z.literal('aws.events') });

/** For the last tries to end in, and to be told of. */
const MARGIN_MS = 5000;

const ports = composed(() => webhookPorts());

export const handler = wrap(z.union([StreamEvent, Minute]), async (event, context) => {
  const { time, config } = ports();
  const left = context.getRemainingTimeInMillis() - config.webhookTimeoutSeconds * 1000 - MARGIN_MS;
  const budgetMs = Math.max(1000, left);
  if ('source' in event) return sendDue(ports(), { budgetMs });
  const records = (event as z.output<typeof StreamEvent>).Records;
  const keys = records.map(({ dynamodb }) => dynamodb.Keys.pk.S).filter((pk) => pk.startsWith(DELIVERY_PREFIX));
  // What there is no time for is in the index, and due.
  return { leftOver: await sendAll(ports(), keys.map(idOf), time.now() + budgetMs) };
});
