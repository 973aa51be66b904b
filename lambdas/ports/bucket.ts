/** For the function that stores and shows what runs leave behind. */
import { S3ArtifactStore } from '../../adapters/aws/artifactStore.ts';
import { bucketClient } from '../../adapters/aws/bucket.ts';
import { S3LogStore } from '../../adapters/aws/logStore.ts';
import { optional, variables } from '../environment.ts';

export function bucketPorts() {
  const { CANDOR_BUCKET: bucket } = variables(['CANDOR_BUCKET']);
  const options = { client: bucketClient({ emulated: optional().emulatesS3 }), bucket };
  return { logs: new S3LogStore(options), artifacts: new S3ArtifactStore(options) };
}
