/**
 * The store: one DynamoDB table, the same code on AWS and on one machine.
 *
 * It translates guarded writes into requests and DynamoDB's refusals into named errors. A refused condition comes with
 * the item as it stood (`ReturnValuesOnConditionCheckFailure: ALL_OLD`), against which the guards are evaluated again
 * to name the one that did not hold.
 */
import {
  type AttributeValue,
  BatchGetItemCommand,
  type CancellationReason,
  ConditionalCheckFailedException,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  TransactionCanceledException,
  type TransactWriteItem,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { CandorError, Contended, GuardFailed, StoreUnavailable } from '../../core/errors.ts';
import type { Store } from '../../core/ports.ts';
import {
  type Guard,
  holds,
  INDEX_KEYS,
  type IndexEntry,
  type IndexRange,
  type Item,
  type Key,
  type Page,
  type Range,
  type Write,
} from '../../core/table/model.ts';
import { decodeAfter, decodeText, encodeText } from './cursor.ts';
import { Expression } from './expression.ts';
import { marshallItem, marshallKey, unmarshallItem } from './marshall.ts';

const BATCH_GET_LIMIT = 100;
const UNPROCESSED_TRIES = 8;

/** Takes a guard out, for tests that prove that it is needed; the identity otherwise. */
export type GuardFilter = (guards: readonly Guard[]) => readonly Guard[];

export class DynamoStore implements Store {
  private readonly client: DynamoDBClient;
  private readonly tableName: string;
  private readonly filter: GuardFilter;

  constructor(client: DynamoDBClient, tableName: string, filter: GuardFilter = (guards) => guards) {
    this.client = client;
    this.tableName = tableName;
    this.filter = filter;
  }

  async get(key: Key): Promise<Item | undefined> {
    const request = new GetItemCommand({ TableName: this.tableName, Key: marshallKey(key), ConsistentRead: true });
    const answer = await this.client.send(request).catch(translate);
    return answer.Item === undefined ? undefined : unmarshallItem(answer.Item);
  }

  async getMany(keys: readonly Key[]): Promise<readonly (Item | undefined)[]> {
    const distinct = [...new Map(keys.map((key) => [textOf(key), key])).values()];
    const batches: Key[][] = [];
    for (let start = 0; start < distinct.length; start += BATCH_GET_LIMIT)
      batches.push(distinct.slice(start, start + BATCH_GET_LIMIT));
    const found = new Map<string, Item>();
    for (const items of await Promise.all(batches.map((batch) => this.getBatch(batch))))
      for (const item of items) found.set(textOf(item), item);
    return keys.map((key) => found.get(textOf(key)));
  }

  private async getBatch(keys: readonly Key[]): Promise<readonly Item[]> {
    const items: Item[] = [];
    let pending: Record<string, AttributeValue>[] = keys.map(marshallKey);
    for (let attempt = 0; pending.length > 0; attempt++) {
      // DynamoDB answers part of a batch when it throttles: the rest is asked for again, with a growing pause.
      if (attempt === UNPROCESSED_TRIES) throw new StoreUnavailable();
      if (attempt > 0) await new Promise((resolve) => setTimeout(resolve, 20 * 2 ** attempt));
      const request = new BatchGetItemCommand({
        RequestItems: { [this.tableName]: { Keys: pending, ConsistentRead: true } },
      });
      const answer = await this.client.send(request).catch(translate);
      for (const attributes of answer.Responses?.[this.tableName] ?? []) items.push(unmarshallItem(attributes));
      pending = answer.UnprocessedKeys?.[this.tableName]?.Keys ?? [];
    }
    return items;
  }

  /** @throws InvalidRequest for an `after` that no page of this range can have given out */
  async query(range: Range): Promise<Page<Item>> {
    const after = decodeAfter(range);
    const expression = new Expression();
    const answer = await this.client
      .send(
        new QueryCommand({
          TableName: this.tableName,
          ConsistentRead: true,
          KeyConditionExpression: rangeCondition(expression, 'pk', 'sk', range.pk, range),
          ExpressionAttributeNames: expression.names,
          ExpressionAttributeValues: expression.values,
          ScanIndexForward: range.descending !== true,
          Limit: range.limit,
          ExclusiveStartKey: after === undefined ? undefined : marshallKey({ pk: range.pk, sk: after }),
        }),
      )
      .catch(translate);
    const items = (answer.Items ?? []).map(unmarshallItem);
    const last = answer.LastEvaluatedKey?.sk?.S;
    return last === undefined ? { items } : { items, next: encodeText(last) };
  }

  async queryIndex(range: IndexRange): Promise<Page<IndexEntry>> {
    const { partition, sort } = INDEX_KEYS[range.index];
    const expression = new Expression();
    const answer = await this.client
      .send(
        new QueryCommand({
          TableName: this.tableName,
          IndexName: range.index,
          KeyConditionExpression: rangeCondition(expression, partition, sort, range.partition, range),
          ExpressionAttributeNames: expression.names,
          ExpressionAttributeValues: expression.values,
          ScanIndexForward: range.descending !== true,
          Limit: range.limit,
          ExclusiveStartKey: decodePosition(range.after),
        }),
      )
      .catch(translate);
    const found = (answer.Items ?? [])
      .map(unmarshallItem)
      .map((item) => ({ pk: item.pk, sk: item.sk, sort: item[sort] as string | number }));
    return answer.LastEvaluatedKey === undefined
      ? { items: found }
      : { items: found, next: encodeText(JSON.stringify(unmarshallItem(answer.LastEvaluatedKey))) };
  }

  async transact(writes: readonly Write[]): Promise<void> {
    const guarded = writes.map((write) => ({ ...write, guards: this.filter(write.guards ?? []) }));
    const [only] = guarded;
    if (only === undefined) return;
    if (guarded.length === 1 && only.kind !== 'check') return this.writeOne(only);
    const effective = guarded.filter((write) => write.kind !== 'check' || write.guards.length > 0);
    const request = new TransactWriteItemsCommand({
      TransactItems: effective.map((write) => this.transactItem(write)),
    });
    await this.client.send(request).catch((error: unknown) => {
      if (error instanceof TransactionCanceledException)
        throw fromReasons(effective, error.CancellationReasons ?? [], error);
      return translate(error);
    });
  }

  private async writeOne(write: Write): Promise<void> {
    const item = this.transactItem(write);
    const sent =
      item.Put !== undefined
        ? this.client.send(new PutItemCommand(item.Put))
        : item.Update !== undefined
          ? this.client.send(new UpdateItemCommand(item.Update))
          : this.client.send(
              new DeleteItemCommand({ ...item.Delete, TableName: this.tableName, Key: item.Delete?.Key }),
            );
    await sent.catch((error: unknown) => {
      if (error instanceof ConditionalCheckFailedException)
        throw guardFailure(write.guards ?? [], 0, error.Item === undefined ? undefined : unmarshallItem(error.Item));
      return translate(error);
    });
  }

  private transactItem(write: Write): TransactWriteItem {
    const expression = new Expression();
    const conditionExpression = expression.guards(write.guards);
    const updateExpression = write.kind === 'update' ? expression.update(write.set ?? {}, write.add ?? {}) : undefined;
    const names = expression.names;
    const common = {
      TableName: this.tableName,
      ...(conditionExpression !== undefined && {
        ConditionExpression: conditionExpression,
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
      }),
      ...(Object.keys(names).length > 0 && { ExpressionAttributeNames: names }),
      ...(expression.values !== undefined && { ExpressionAttributeValues: expression.values }),
    };
    switch (write.kind) {
      case 'put':
        return { Put: { ...common, Item: marshallItem(write.item) } };
      case 'update':
        return { Update: { ...common, Key: marshallKey(write.key), UpdateExpression: updateExpression ?? '' } };
      case 'delete':
        return { Delete: { ...common, Key: marshallKey(write.key) } };
      case 'check':
        return {
          ConditionCheck: { ...common, ConditionExpression: conditionExpression ?? '', Key: marshallKey(write.key) },
        };
    }
  }
}

const textOf = (key: Key): string => `${key.pk}\u0000${key.sk}`;

interface Bounds {
  readonly prefix?: string;
  readonly from?: string | number;
  readonly to?: string | number;
}

function rangeCondition(
  expression: Expression,
  partition: string,
  sort: string,
  value: string,
  bounds: Bounds,
): string {
  const base = `${expression.name(partition)} = ${expression.value(value)}`;
  const { prefix, from, to } = bounds;
  const sortName = () => expression.name(sort);
  if (prefix !== undefined) return `${base} AND begins_with(${sortName()}, ${expression.value(prefix)})`;
  if (from !== undefined && to !== undefined)
    return `${base} AND ${sortName()} BETWEEN ${expression.value(from)} AND ${expression.value(to)}`;
  if (from !== undefined) return `${base} AND ${sortName()} >= ${expression.value(from)}`;
  if (to !== undefined) return `${base} AND ${sortName()} <= ${expression.value(to)}`;
  return base;
}

/** Positions in an index never leave the program, so what comes back is what was given out. */
function decodePosition(position: string | undefined): Record<string, AttributeValue> | undefined {
  return position === undefined ? undefined : marshallItem(JSON.parse(decodeText(position)) as Item);
}

function guardFailure(guards: readonly Guard[], writeIndex: number, old: Item | undefined): GuardFailed {
  const failed = guards.find((each) => !holds(each.condition, old)) ?? guards[0];
  return new GuardFailed(failed?.name ?? 'unnamed', writeIndex, old);
}

/** A lost condition outranks a conflict: it is an answer, the conflict is not. */
function fromReasons(writes: readonly Write[], reasons: readonly CancellationReason[], cause: unknown): Error {
  const index = reasons.findIndex((reason) => reason.Code === 'ConditionalCheckFailed');
  if (index >= 0) {
    const old = reasons[index]?.Item;
    return guardFailure(writes[index]?.guards ?? [], index, old === undefined ? undefined : unmarshallItem(old));
  }
  const codes = reasons.map((reason) => reason.Code);
  if (codes.some((code) => code === 'TransactionConflict')) return new Contended(cause);
  if (codes.some((code) => code === 'ThrottlingError' || code === 'ProvisionedThroughputExceeded'))
    return new StoreUnavailable(cause);
  return cause instanceof Error ? cause : new Error('the transaction was cancelled');
}

const CONFLICTS = new Set(['TransactionConflictException', 'TransactionInProgressException']);
const UNAVAILABLE = new Set([
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'ThrottlingException',
  'InternalServerError',
  'ServiceUnavailable',
  'TimeoutError',
  'AbortError',
]);

/** Turns what the SDK throws into the store's named errors; a programming error (validation) stays what it is. */
function translate(error: unknown): never {
  if (error instanceof CandorError || error instanceof GuardFailed) throw error;
  if (error instanceof Error) {
    if (CONFLICTS.has(error.name)) throw new Contended(error);
    const systemCode = (error as NodeJS.ErrnoException).code;
    const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
    if (UNAVAILABLE.has(error.name) || systemCode !== undefined || (status !== undefined && status >= 500))
      throw new StoreUnavailable(error);
  }
  throw error;
}
