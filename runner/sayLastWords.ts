/** The program `node runner/sayLastWords.ts <folder of the VM>`: says on stdout, as JSON, what {@link lastWords} finds. */
import { lastWords } from './lastWords.ts';
import { readIdentity } from './settings.ts';

const vmDir = process.argv[2] ?? '';
const identity = readIdentity(vmDir);
if (!identity) throw new Error('runner.json is missing or not valid');
process.stdout.write(JSON.stringify(await lastWords(vmDir, identity.vmId)));
