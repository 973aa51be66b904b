/** Where the deployment's sources are, and where what is made of them goes. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Made anew by every synthesis; ignored by git. */
export const BUILD = path.join(ROOT, 'dist', 'deploy');
