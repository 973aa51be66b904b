/** Secrets of one machine: `<data dir>/secrets/<id>`, one file each. `candor secrets` writes them. */
import path from 'node:path';
import { SecretId } from '../../core/contract/agentParts.ts';
import type { Secrets } from '../../core/ports.ts';
import { readIfThere } from './files.ts';

export class FileSecrets implements Secrets {
  readonly #folder: string;

  constructor(options: { readonly dataDir: string }) {
    this.#folder = path.join(options.dataDir, 'secrets');
  }

  /** One machine has one tenant. */
  async read(_tenantId: string, id: string): Promise<string | undefined> {
    return SecretId.safeParse(id).success ? readIfThere(path.join(this.#folder, id)) : undefined;
  }
}
