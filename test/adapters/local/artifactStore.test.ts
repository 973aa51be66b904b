import { FileArtifactStore } from '../../../adapters/local/artifactStore.ts';
import { artifactStoreContract } from '../../contracts/artifactStore.ts';
import { temporaryFolder } from './support.ts';

artifactStoreContract(
  'the artifact store of one machine',
  () => new FileArtifactStore({ dataDir: temporaryFolder(), time: { now: () => Date.now() } }),
);
