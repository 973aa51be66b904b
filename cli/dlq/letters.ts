/**
 * What a letter of each dead-letter queue holds, and what has to be done with it. Pure. The forms are those of the services
 * that write: EventBridge Scheduler and EventBridge rules put what they could not deliver into the body and the reason into
 * attributes; Lambda's failure destinations wrap both into one record; for a stream that record has no data, only a place.
 *
 * Sources: EventBridge Scheduler, "Configuring a dead-letter queue"; EventBridge, "Using dead-letter queues"; Lambda,
 * "Retaining records of asynchronous invocations" and "Retaining discarded batches with DynamoDB Streams".
 */
import { FireEvent, nominalTime } from '../../core/contract/fire.ts';

export const QUEUES = ['schedule', 'fire', 'events', 'execution-ended'] as const;
export type QueueName = (typeof QUEUES)[number];

/** A letter as the queue hands it out. */
export interface RawLetter {
  readonly id: string;
  readonly body: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Epoch milliseconds. */
  readonly sentAt: number;
  readonly receiveCount: number;
  /** With which it is given back or deleted. */
  readonly handle: string;
}

/** A part of one shard of the table's stream, both ends included. */
export interface StreamRange {
  readonly streamArn: string;
  readonly shardId: string;
  readonly startSequenceNumber: string;
  readonly endSequenceNumber: string;
  readonly batchSize?: number;
}

export type Errand =
  /** Call the function again with the same event. */
  | { readonly kind: 'call'; readonly target: 'fire' | 'execution-ended'; readonly event: unknown }
  /** Read the records again, and hand them to `events`. */
  | { readonly kind: 'replay'; readonly range: StreamRange }
  /** Nothing can be made of it, now or later. */
  | { readonly kind: 'none'; readonly why: string };

export interface Letter extends RawLetter {
  readonly errand: Errand;
  /** What it is about, in a few words. */
  readonly about: string;
  /** Why it could not be delivered, as its writer says. */
  readonly reason: string;
}

type Facts = Pick<Letter, 'errand' | 'about' | 'reason'>;

export function readLetter(queue: QueueName, raw: RawLetter): Letter {
  return { ...raw, ...READERS[queue](raw) };
}

const READERS: Readonly<Record<QueueName, (raw: RawLetter) => Facts>> = {
  schedule: ofScheduler,
  fire: ({ body }) => ofDestination(body, fireFacts),
  events: ofStream,
  'execution-ended': ofExecution,
};

/** The id and the time are in the attributes too: what became of the body does not matter. */
function ofScheduler({ body, attributes }: RawLetter): Facts {
  const { SCHEDULED_TIME: scheduledTime, SCHEDULE_ARN: arn = '' } = attributes;
  const said = objectOf(body);
  const event = FireEvent.safeParse(said).success ? { ...said } : { scheduleId: arn.split('/').at(-1) };
  if (scheduledTime !== undefined && nominalTime(text(objectOf(event).scheduledTime)) === undefined)
    Object.assign(event, { scheduledTime });
  return { ...fireFacts(event), reason: reasonOf(attributes) };
}

function fireFacts(event: unknown): Omit<Facts, 'reason'> {
  const parsed = FireEvent.safeParse(event);
  if (!parsed.success)
    return { errand: none(`it is no event of \`fire\`: ${parsed.error.message}`), about: 'not readable' };
  const { scheduleId, scheduledTime } = parsed.data;
  return {
    errand: { kind: 'call', target: 'fire', event },
    about: `${scheduleId} ${scheduledTime ?? 'without a nominal time'}`,
  };
}

/** Two write here: the rule that could not call the function, and Lambda where the function has failed. */
function ofExecution({ body, attributes }: RawLetter): Facts {
  return 'requestContext' in objectOf(body)
    ? ofDestination(body, executionFacts)
    : { ...executionFacts(objectOf(body)), reason: reasonOf(attributes) };
}

function executionFacts(event: unknown): Omit<Facts, 'reason'> {
  const detail = objectOf(objectOf(event).detail);
  const { executionArn, status } = detail;
  if (typeof executionArn !== 'string' || typeof status !== 'string')
    return { errand: none('it is no end of an execution'), about: 'not readable' };
  return {
    errand: { kind: 'call', target: 'execution-ended', event },
    about: `${executionArn.split(':').at(-1)} ${status}`,
  };
}

function ofDestination(body: string, factsOf: (event: unknown) => Omit<Facts, 'reason'>): Facts {
  const { requestPayload, requestContext, responsePayload } = objectOf(body);
  const { errorType, errorMessage } = objectOf(responsePayload);
  const error = [text(errorType), text(errorMessage)].filter((part) => part !== undefined).join(': ');
  return { ...factsOf(requestPayload), reason: [conditionOf(requestContext), error].filter(Boolean).join('; ') };
}

function ofStream({ body }: RawLetter): Facts {
  const { DDBStreamBatchInfo: info, requestContext } = objectOf(body);
  const { streamArn, shardId, startSequenceNumber, endSequenceNumber, batchSize } = objectOf(info);
  const reason = conditionOf(requestContext);
  const first = text(startSequenceNumber);
  const last = text(endSequenceNumber);
  const places = [text(streamArn), text(shardId), first, last];
  if (places.includes(undefined) || [first, last].some((number) => !/^\d{1,64}$/.test(number ?? '')))
    return { errand: none('it names no place in the stream'), about: 'not readable', reason };
  const range = {
    streamArn: String(streamArn),
    shardId: String(shardId),
    startSequenceNumber: String(first),
    endSequenceNumber: String(last),
    ...(typeof batchSize === 'number' && { batchSize }),
  };
  const count = range.batchSize === undefined ? 'records' : `${range.batchSize} records`;
  return { errand: { kind: 'replay', range }, about: `${count} of ${range.shardId} from ${first}`, reason };
}

function conditionOf(context: unknown): string {
  const { condition, approximateInvokeCount: count } = objectOf(context);
  return `${text(condition) ?? 'no reason given'}${typeof count === 'number' ? ` after ${count} tries` : ''}`;
}

function reasonOf(attributes: RawLetter['attributes']): string {
  const { ERROR_CODE: code, ERROR_MESSAGE: message, EXHAUSTED_RETRY_CONDITION: condition } = attributes;
  const said = [code, message, condition].filter((part) => part !== undefined && part !== '');
  return said.length === 0 ? 'no reason given' : said.join('; ');
}

const none = (why: string): Errand => ({ kind: 'none', why });

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** Of JSON text, or of a value of it; whatever else it is counts as empty. */
function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'string') {
    try {
      return objectOf(JSON.parse(value) as object);
    } catch {
      return {};
    }
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
