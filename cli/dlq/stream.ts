/** Reads a part of the table's stream again. Streams keep their records for 24 hours, and not a minute more for anybody. */
import {
  type DynamoDBStreamsClient,
  GetRecordsCommand,
  GetShardIteratorCommand,
  ResourceNotFoundException,
  type _Record as StreamRecord,
  TrimmedDataAccessException,
} from '@aws-sdk/client-dynamodb-streams';
import type { StreamRange } from './letters.ts';

/** The stream has forgotten the records. */
export class RecordsGone extends Error {
  constructor(cause: unknown) {
    super('the stream no longer has these records: it keeps them for 24 hours', { cause });
    this.name = 'RecordsGone';
  }
}

/** The stream answers, but nothing up to the last record that is wanted. */
export class RecordsUnread extends Error {
  constructor(sequenceNumber: string) {
    super(`the stream has not answered record ${sequenceNumber}`);
    this.name = 'RecordsUnread';
  }
}

/** Reading a live shard answers empty pages between those that hold something. */
const EMPTY_PAGES_MAX = 100;

/** A record in the form in which Lambda hands it to a function. */
export interface DeliveredRecord {
  readonly eventName: string | undefined;
  readonly dynamodb: { readonly SequenceNumber: string; readonly [member: string]: unknown };
}

/**
 * The range's records, page by page, those left out that no trigger of Candor's asks for: changes and removals.
 * @throws RecordsGone, RecordsUnread
 */
export async function* recordsIn(
  client: DynamoDBStreamsClient,
  range: StreamRange,
): AsyncGenerator<readonly DeliveredRecord[]> {
  const last = BigInt(range.endSequenceNumber);
  let iterator = await firstIterator(client, range);
  for (let empty = 0; iterator !== undefined && empty < EMPTY_PAGES_MAX; ) {
    const page = await remembered(client.send(new GetRecordsCommand({ ShardIterator: iterator })));
    const records = page.Records ?? [];
    empty = records.length === 0 ? empty + 1 : 0;
    const within = records.filter((record) => sequenceOf(record) <= last);
    const inserted = within.filter(({ eventName }) => eventName === 'INSERT');
    if (inserted.length > 0) yield inserted.map((record) => delivered(record, range));
    if (records.some((record) => sequenceOf(record) >= last)) return;
    iterator = page.NextShardIterator;
  }
  // An ended shard ends here. One that answers nothing for so long does not hold what is asked for.
  if (iterator !== undefined) throw new RecordsUnread(range.endSequenceNumber);
}

async function firstIterator(client: DynamoDBStreamsClient, range: StreamRange): Promise<string | undefined> {
  const { streamArn, shardId, startSequenceNumber } = range;
  const command = new GetShardIteratorCommand({
    StreamArn: streamArn,
    ShardId: shardId,
    ShardIteratorType: 'AT_SEQUENCE_NUMBER',
    SequenceNumber: startSequenceNumber,
  });
  return (await remembered(client.send(command))).ShardIterator;
}

async function remembered<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    // A shard is gone some time after its last record is, a stream with its table.
    if (error instanceof TrimmedDataAccessException || error instanceof ResourceNotFoundException)
      throw new RecordsGone(error);
    throw error;
  }
}

const sequenceOf = ({ dynamodb }: StreamRecord): bigint => BigInt(dynamodb?.SequenceNumber ?? 0);

function delivered(record: StreamRecord, { streamArn }: StreamRange): DeliveredRecord {
  const { dynamodb: change = {}, eventName, eventID, eventVersion, eventSource, awsRegion } = record;
  const { ApproximateCreationDateTime: at, ...rest } = change;
  return {
    eventID,
    eventVersion,
    eventSource,
    awsRegion,
    eventName,
    eventSourceARN: streamArn,
    dynamodb: {
      ...(withBase64(rest) as object),
      ...(at !== undefined && { ApproximateCreationDateTime: at.getTime() / 1000 }),
      SequenceNumber: String(change.SequenceNumber),
    },
  } as DeliveredRecord;
}

/** Bytes as Lambda's events carry them. */
function withBase64(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(withBase64);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withBase64(member)]));
}
