/** The one table, declared from the very definition that `candor dev` and the tests create theirs from. */
import type { RemovalPolicy } from 'aws-cdk-lib';
import {
  type Attribute,
  AttributeType,
  BillingMode,
  ProjectionType,
  StreamViewType,
  Table,
  TableEncryption,
} from 'aws-cdk-lib/aws-dynamodb';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';
import { tableDefinition } from '../../adapters/aws/table.ts';
import { TTL_ATTRIBUTE } from '../../core/table/garbage.ts';

export interface TableOptions {
  readonly key: IKey | undefined;
  readonly removal: RemovalPolicy;
  readonly deletionProtection: boolean;
}

export function createTable(scope: Construct, options: TableOptions): Table {
  const definition = tableDefinition('definition');
  const typeOf = (name: string): AttributeType =>
    definition.AttributeDefinitions?.find((each) => each.AttributeName === name)?.AttributeType === 'N'
      ? AttributeType.NUMBER
      : AttributeType.STRING;
  const keyOf = (schema: typeof definition.KeySchema, kind: 'HASH' | 'RANGE'): Attribute => {
    const name = schema?.find((each) => each.KeyType === kind)?.AttributeName;
    if (name === undefined) throw new Error(`the table's definition has no ${kind} key`);
    return { name, type: typeOf(name) };
  };
  const table = new Table(scope, 'Table', {
    partitionKey: keyOf(definition.KeySchema, 'HASH'),
    sortKey: keyOf(definition.KeySchema, 'RANGE'),
    billingMode: BillingMode.PAY_PER_REQUEST,
    // Fan-out reads what was written; what stood there before is nobody's business.
    stream: StreamViewType.NEW_IMAGE,
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
    deletionProtection: options.deletionProtection,
    timeToLiveAttribute: TTL_ATTRIBUTE,
    removalPolicy: options.removal,
    ...(options.key === undefined
      ? { encryption: TableEncryption.DEFAULT }
      : { encryption: TableEncryption.CUSTOMER_MANAGED, encryptionKey: options.key }),
  });
  for (const index of definition.GlobalSecondaryIndexes ?? [])
    table.addGlobalSecondaryIndex({
      indexName: index.IndexName ?? '',
      partitionKey: keyOf(index.KeySchema, 'HASH'),
      sortKey: keyOf(index.KeySchema, 'RANGE'),
      projectionType: index.Projection?.ProjectionType === 'ALL' ? ProjectionType.ALL : ProjectionType.KEYS_ONLY,
    });
  return table;
}

/** The names of its indexes, for rights that name each. */
export const indexNames = (): readonly string[] =>
  (tableDefinition('definition').GlobalSecondaryIndexes ?? []).map((index) => index.IndexName ?? '');
