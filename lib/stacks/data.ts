/** What must outlive everything else: table, bucket, secrets, and the key over them where there is one. */
import { CfnOutput, Duration } from 'aws-cdk-lib';
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import { Key } from 'aws-cdk-lib/aws-kms';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { Secret, type SecretStringGenerator } from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { createBucket } from '../data/bucket.ts';
import { createTable } from '../data/table.ts';
import { CandorStack, type Installation } from './candorStack.ts';

export class DataStack extends CandorStack {
  readonly key: Key | undefined;
  readonly table: Table;
  readonly bucket: Bucket;
  readonly signingKey: Secret;
  /** Never replaced: what it has sealed opens with no other. */
  readonly sealingKey: Secret;
  readonly adminToken: Secret;
  /** Agents' secrets have this name's beginning, and nothing of Candor's own has. */
  readonly secretPrefix: string;

  constructor(scope: Construct, installation: Installation) {
    super(scope, 'data', installation, 'Candor: table, bucket, secrets');
    const { config, id } = installation;
    const removal = this.dataRemoval;
    this.key = config.features.customerManagedKey
      ? new Key(this, 'Key', {
          alias: id,
          description: `Candor ${id}: table, bucket, secrets, alarms`,
          enableKeyRotation: true,
          removalPolicy: removal,
          pendingWindow: Duration.days(30),
        })
      : undefined;
    const { key } = this;
    this.table = createTable(this, { key, removal, deletionProtection: config.retention.keepData });
    this.bucket = createBucket(this, { key, removal, objectDays: config.retention.logObjectsDays });
    // A key by its name, so that another one can be put before it; docs/deploy.md says how.
    this.signingKey = this.secret('SigningKey', `${id}/signing-key`, 'Signs the tokens of runners and runs', {
      secretStringTemplate: JSON.stringify({ kid: 'first' }),
      generateStringKey: 'key',
    });
    this.sealingKey = this.secret('SealingKey', `${id}/sealing-key`, 'Seals the secrets of webhooks in the table');
    this.adminToken = this.secret('AdminToken', `${id}/admin-token`, 'The first administrator’s token for the API');
    this.secretPrefix = `${id}/agents/`;
    new CfnOutput(this, 'AdminTokenSecret', { value: this.adminToken.secretName });
    new CfnOutput(this, 'SecretPrefix', { value: this.secretPrefix });
  }

  /** 64 characters of [A-Za-z0-9], made by Secrets Manager and seen by no template. */
  private secret(
    name: string,
    secretName: string,
    description: string,
    shape: Pick<SecretStringGenerator, 'secretStringTemplate' | 'generateStringKey'> = {},
  ): Secret {
    return new Secret(this, name, {
      secretName,
      description,
      generateSecretString: { ...shape, passwordLength: 64, excludePunctuation: true },
      removalPolicy: this.dataRemoval,
      ...(this.key !== undefined && { encryptionKey: this.key }),
    });
  }
}
