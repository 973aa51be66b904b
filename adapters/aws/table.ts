/** The table's definition, used by `candor dev` and by tests; the data stack declares the same (a test compares them). */
import {
  CreateTableCommand,
  type CreateTableCommandInput,
  DescribeTableCommand,
  type DynamoDBClient,
  ResourceInUseException,
} from '@aws-sdk/client-dynamodb';
import { INDEX_KEYS } from '../../core/table/model.ts';

export const tableDefinition = (tableName: string): CreateTableCommandInput => ({
  TableName: tableName,
  BillingMode: 'PAY_PER_REQUEST',
  AttributeDefinitions: [
    { AttributeName: 'pk', AttributeType: 'S' },
    { AttributeName: 'sk', AttributeType: 'S' },
    { AttributeName: INDEX_KEYS.byParent.partition, AttributeType: 'S' },
    { AttributeName: INDEX_KEYS.byParent.sort, AttributeType: 'S' },
    { AttributeName: INDEX_KEYS.checks.partition, AttributeType: 'S' },
    { AttributeName: INDEX_KEYS.checks.sort, AttributeType: 'N' },
  ],
  KeySchema: [
    { AttributeName: 'pk', KeyType: 'HASH' },
    { AttributeName: 'sk', KeyType: 'RANGE' },
  ],
  GlobalSecondaryIndexes: (['byParent', 'checks'] as const).map((index) => ({
    IndexName: index,
    KeySchema: [
      { AttributeName: INDEX_KEYS[index].partition, KeyType: 'HASH' as const },
      { AttributeName: INDEX_KEYS[index].sort, KeyType: 'RANGE' as const },
    ],
    // Keys only: what an index names is read from the base table, and a write that moves no key costs the index nothing.
    Projection: { ProjectionType: 'KEYS_ONLY' as const },
  })),
});

/** Creates the table where it does not exist, and waits until it takes writes. */
export async function ensureTable(client: DynamoDBClient, tableName: string): Promise<void> {
  try {
    await client.send(new CreateTableCommand(tableDefinition(tableName)));
  } catch (error) {
    if (!(error instanceof ResourceInUseException)) throw error;
  }
  for (let attempt = 0; attempt < 100; attempt++) {
    const answer = await client.send(new DescribeTableCommand({ TableName: tableName }));
    if (answer.Table?.TableStatus === 'ACTIVE') return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the table ${tableName} did not become active`);
}
