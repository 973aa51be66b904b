/** Secrets of agents in Secrets Manager, under `<prefix><tenant>/<id>`. They are read when a start is composed, and not kept. */
import { GetSecretValueCommand, type SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SecretId } from '../../core/contract/agentParts.ts';
import type { Secrets } from '../../core/ports.ts';

/** There is none of that name, it is scheduled for deletion, or our role may not read it: all the same to a run. */
const NOT_READABLE: ReadonlySet<string> = new Set([
  'ResourceNotFoundException',
  'InvalidRequestException',
  'AccessDeniedException',
]);

export interface SecretsManagerSecretsOptions {
  readonly client: SecretsManagerClient;
  /** Such as `candor/dev/`: what the role's grant names, too. */
  readonly prefix: string;
}

export class SecretsManagerSecrets implements Secrets {
  readonly #options: SecretsManagerSecretsOptions;

  constructor(options: SecretsManagerSecretsOptions) {
    this.#options = options;
  }

  /** @throws what the SDK throws where nobody can say whether there is one */
  async read(tenantId: string, id: string): Promise<string | undefined> {
    // Ids and tenants become part of a name: nothing that could lead to another tenant's is one.
    if (!SecretId.safeParse(id).success || !SecretId.safeParse(tenantId).success) return undefined;
    const { client, prefix } = this.#options;
    try {
      const answer = await client.send(new GetSecretValueCommand({ SecretId: `${prefix}${tenantId}/${id}` }));
      return (
        answer.SecretString ??
        (answer.SecretBinary === undefined ? undefined : Buffer.from(answer.SecretBinary).toString('utf8'))
      );
    } catch (error) {
      if (error instanceof Error && NOT_READABLE.has(error.name)) return undefined;
      throw error;
    }
  }
}
