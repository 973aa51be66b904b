/**
 * Counts what DynamoDB would charge for each call: the engine's answer says how much in all, the items that were written
 * say for what. Where the two differ the bench stops: one of them would be wrong.
 */
import { type DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import { type Attributes, indexWrites, itemBytes, writeUnitsOf } from './itemSize.ts';

/** One item of a write: what it takes, with its entries in the indexes. */
export interface ItemCost {
  readonly key: string;
  readonly bytes: number;
  readonly units: number;
  readonly indexUnits: number;
}

export interface CallCost {
  readonly kind: 'write' | 'read';
  readonly units: number;
  readonly what: string;
  readonly items: readonly ItemCost[];
}

interface Consumed {
  readonly CapacityUnits?: number;
}

interface Input {
  readonly TableName?: string;
  readonly TransactItems?: readonly Readonly<Record<string, Target>>[];
  readonly Item?: Attributes;
  readonly Key?: Attributes;
  readonly UpdateExpression?: string;
  readonly RequestItems?: Readonly<Record<string, { readonly Keys?: readonly Attributes[] }>>;
  readonly ExpressionAttributeValues?: Attributes;
}
type Target = { readonly Item?: Attributes; readonly Key?: Attributes };

/**
 * @param eye another client of the same engine, through which written items are looked at before and after
 */
export function meter(client: DynamoDBClient, eye: DynamoDBClient, into: (cost: CallCost) => void): void {
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const input = args.input as Input;
      const name = context.commandName ?? '';
      const written = targets(input, name);
      const before = await Promise.all(written.map((key) => look(eye, input, key)));
      Object.assign(args.input as object, { ReturnConsumedCapacity: 'TOTAL' });
      const result = await next(args);
      const { ConsumedCapacity: consumed } = result.output as { ConsumedCapacity?: Consumed | readonly Consumed[] };
      const units = [consumed ?? []].flat().reduce((sum, { CapacityUnits = 0 }) => sum + CapacityUnits, 0);
      if (written.length === 0) {
        into({ kind: 'read', units, what: readText(input, name), items: [] });
        return result;
      }
      const after = await Promise.all(written.map((key) => look(eye, input, key)));
      const factor = input.TransactItems === undefined ? 1 : 2;
      const items = written.map((key, index) => costOf(key, before[index], after[index], factor));
      const counted = items.reduce((sum, item) => sum + item.units + item.indexUnits, 0);
      if (counted !== units)
        throw new Error(
          `${name}: the engine counts ${units} units, its items make ${counted}: ${JSON.stringify(items)}`,
        );
      into({ kind: 'write', units, what: name.replace('Command', ''), items });
      return result;
    },
    { step: 'initialize', name: 'meter' },
  );
}

const keyOf = ({ pk, sk }: Attributes): Attributes => ({ pk: pk ?? { S: '' }, sk: sk ?? { S: '' } });

function targets(input: Input, name: string): readonly Attributes[] {
  if (input.TransactItems !== undefined)
    return input.TransactItems.flatMap((each) => Object.values(each)).map(({ Item, Key }) => keyOf(Item ?? Key ?? {}));
  return /^(Put|Update|Delete)Item/.test(name) ? [keyOf(input.Item ?? input.Key ?? {})] : [];
}

async function look(eye: DynamoDBClient, { TableName, TransactItems }: Input, key: Attributes) {
  const table = TableName ?? Object.values(TransactItems?.[0] ?? {}).map((each) => (each as Input).TableName)[0];
  const request = new GetItemCommand({ TableName: table, Key: key as Record<string, never>, ConsistentRead: true });
  return (await eye.send(request)).Item;
}

function costOf(
  key: Attributes,
  before: Attributes | undefined,
  after: Attributes | undefined,
  factor: number,
): ItemCost {
  const bytes = Math.max(before === undefined ? 0 : itemBytes(before), after === undefined ? 0 : itemBytes(after));
  const indexUnits = indexWrites(before, after);
  return { key: textOf(key), bytes, units: writeUnitsOf(bytes) * factor, indexUnits };
}

/** Without the ids: `RUN EVT#3`. */
export const textOf = ({ pk, sk }: Attributes): string =>
  `${pk?.S?.split('#')[0]} ${sk?.S?.replace(/#0+(?=\d)/g, '#').replace(/#(vm|run)_.*/, '#$1')}`;

function readText(input: Input, name: string): string {
  const keys =
    input.Key !== undefined ? [input.Key] : Object.values(input.RequestItems ?? {}).flatMap((each) => each.Keys ?? []);
  const of =
    keys.length > 0
      ? keys.map(textOf)
      : Object.values(input.ExpressionAttributeValues ?? {}).map((value) => value.S?.replace(/_.*/, ''));
  return `${name.replace('Command', '')} ${of.join(', ')}`;
}
