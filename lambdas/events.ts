/** The table's stream → fan-out. A record that fails is reported by its number, so that only what follows it comes again. */
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import * as z from 'zod/mini';
import { unmarshallItem } from '../adapters/aws/marshall.ts';
import { handleEvent } from '../core/notifications/fanOut.ts';
import type { EventRow } from '../core/runs/model.ts';
import { EVENT_PREFIX, NOTE_PREFIX } from '../core/table/keys.ts';
import { asRow } from '../core/table/rows.ts';
import { logger } from './log.ts';
import { composed } from './ports/base.ts';
import { clockPort } from './ports/clock.ts';
import { fleetPort } from './ports/fleet.ts';
import { wrap } from './wrap.ts';

const StreamEvent = z.looseObject({
  Records: z.array(
    z.looseObject({
      eventName: z.optional(z.string()),
      dynamodb: z.looseObject({ SequenceNumber: z.string(), NewImage: z.optional(z.record(z.string(), z.unknown())) }),
    }),
  ),
});

interface BatchAnswer {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
}

const ports = composed((base) => ({ ...fleetPort(base), ...clockPort() }));

export const handler = wrap(StreamEvent, async ({ Records: records }): Promise<BatchAnswer> => {
  for (const { eventName, dynamodb } of records) {
    const image = dynamodb.NewImage;
    if (eventName !== 'INSERT' || image === undefined) continue;
    const item = unmarshallItem(image as Record<string, AttributeValue>);
    // Notes are handled like events, though they are no change of state and have no number.
    if (!item.sk.startsWith(EVENT_PREFIX) && !item.sk.startsWith(NOTE_PREFIX)) continue;
    try {
      const event = asRow<EventRow>(item);
      if (event !== undefined) await handleEvent(ports(), event);
    } catch (error) {
      logger.error('events.record_failed', { sequenceNumber: dynamodb.SequenceNumber, error: error as Error });
      // Order per shard matters: this record and all after it come again.
      return { batchItemFailures: [{ itemIdentifier: dynamodb.SequenceNumber }] };
    }
  }
  return { batchItemFailures: [] };
});
