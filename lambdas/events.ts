/** The table's stream → fan-out. A record that fails is reported by its number, so that only what follows it comes again. */
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import * as z from 'zod/mini';
import { unmarshallItem } from '../adapters/aws/marshall.ts';
import { type Delivered, deliver } from '../core/notifications/deliver.ts';
import { tellCulprit } from '../core/schedules/culprits.ts';
import { firedInTime } from '../core/schedules/ledger.ts';
import { composed } from './ports/base.ts';
import { clockPort } from './ports/clock.ts';
import { fleetPort } from './ports/fleet.ts';
import { publishSeen } from './ports/proof.ts';
import { wrap } from './wrap.ts';

const StreamEvent = z.looseObject({
  Records: z.array(
    z.looseObject({
      eventName: z.optional(z.string()),
      dynamodb: z.looseObject({ SequenceNumber: z.string(), NewImage: z.optional(z.record(z.string(), z.unknown())) }),
    }),
  ),
});

const CLOCK = 'EventBridge Scheduler';

interface BatchAnswer {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
}

const ports = composed((base) => ({ ...fleetPort(base), ...clockPort() }));

export const handler = wrap(StreamEvent, async ({ Records: records }, { functionName }): Promise<BatchAnswer> => {
  const delivered: Delivered[] = [];
  for (const { eventName, dynamodb } of records) {
    const image = dynamodb.NewImage;
    if (eventName !== 'INSERT' || image === undefined) continue;
    const item = unmarshallItem(image as Record<string, AttributeValue>);
    const firedAt = firedInTime(ports().config, item);
    if (firedAt !== undefined) await publishSeen(ports(), 'clock', CLOCK, { by: 'a fire in time' }, firedAt);
    tellCulprit(ports(), item);
    delivered.push({ number: dynamodb.SequenceNumber, item });
  }
  const failed = await deliver(ports(), delivered);
  if (failed !== undefined) return { batchItemFailures: [{ itemIdentifier: failed }] };
  await publishSeen(ports(), 'events', functionName, { records: records.length });
  return { batchItemFailures: [] };
});
