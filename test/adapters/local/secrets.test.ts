import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { FileSecrets } from '../../../adapters/local/secrets.ts';
import { secretsContract } from '../../contracts/secrets.ts';
import { temporaryFolder } from './support.ts';

secretsContract('the secrets of one machine', (id, value) => {
  const dataDir = temporaryFolder();
  mkdirSync(path.join(dataDir, 'secrets'));
  writeFileSync(path.join(dataDir, 'secrets', id), value);
  return new FileSecrets({ dataDir, tenantId: 't1' });
});
