/** Captured output and artifacts. */
import { Duration, type RemovalPolicy } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { BlockPublicAccess, Bucket, BucketEncryption, ObjectOwnership } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';

export interface BucketOptions {
  readonly key: IKey | undefined;
  readonly removal: RemovalPolicy;
  readonly objectDays: number;
}

export function createBucket(scope: Construct, options: BucketOptions): Bucket {
  return new Bucket(scope, 'Bucket', {
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
    enforceSSL: true,
    minimumTLSVersion: 1.2,
    versioned: true,
    removalPolicy: options.removal,
    ...(options.key === undefined
      ? { encryption: BucketEncryption.S3_MANAGED }
      : { encryption: BucketEncryption.KMS, encryptionKey: options.key, bucketKeyEnabled: true }),
    lifecycleRules: [
      {
        id: 'retention',
        expiration: Duration.days(options.objectDays),
        // A chunk that was written again has the same content: what it replaced is kept only as long as a mistake takes.
        noncurrentVersionExpiration: Duration.days(7),
        abortIncompleteMultipartUploadAfter: Duration.days(1),
      },
      { id: 'markers', expiredObjectDeleteMarker: true },
    ],
  });
}
