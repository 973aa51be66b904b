/** Secrets of one machine: `<data dir>/secrets/<id>`, one file each. `candor secrets` writes them. */
import path from 'node:path';
import { LOCAL_TENANT } from '../../core/access/principals.ts';
import { SecretId } from '../../core/contract/agentParts.ts';
import type { Secrets } from '../../core/ports.ts';
import { readIfThere } from './files.ts';

export class FileSecrets implements Secrets {
  readonly #folder: string;
  readonly #tenantId: string;

  /** @param options.tenantId whose they are; users of a provider may be of other tenants, who have none here */
  constructor(options: { readonly dataDir: string; readonly tenantId?: string }) {
    this.#tenantId = options.tenantId ?? LOCAL_TENANT;
    this.#folder = path.join(options.dataDir, 'secrets');
  }

  async read(tenantId: string, id: string): Promise<string | undefined> {
    if (tenantId !== this.#tenantId) return undefined;
    return SecretId.safeParse(id).success ? readIfThere(path.join(this.#folder, id)) : undefined;
  }
}
