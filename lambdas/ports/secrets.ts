/** For functions that stand at the runners' door: the keys that sign tokens, agents' secrets, the first administrator's token. */
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { patience } from '../../adapters/aws/requests.ts';
import { SecretsManagerSecrets } from '../../adapters/aws/secrets.ts';
import { SecretValue } from '../../adapters/aws/secretValue.ts';
import { SecretTokens } from '../../adapters/aws/tokens.ts';
import { systemTime } from '../../adapters/system/time.ts';
import { optional, variables } from '../environment.ts';
import { log } from '../log.ts';

let client: SecretsManagerClient | undefined;

/** One client, and its connections, for all that a function reads. */
function shared(): SecretsManagerClient {
  client ??= new SecretsManagerClient({ requestHandler: patience() });
  return client;
}

export function tokensPort() {
  const { CANDOR_SIGNING_SECRET_ARN: arn } = variables(['CANDOR_SIGNING_SECRET_ARN']);
  return { tokens: new SecretTokens({ client: shared(), arn, time: systemTime, log }) };
}

export function secretsPort() {
  const { CANDOR_SECRET_PREFIX: prefix } = variables(['CANDOR_SECRET_PREFIX']);
  return { secrets: new SecretsManagerSecrets({ client: shared(), prefix }) };
}

/** Undefined where the installation has none: then nobody gets in by it. */
export function adminTokenSecret(): SecretValue<string> | undefined {
  const arn = optional().adminTokenSecretArn;
  if (arn === undefined || arn === '') return undefined;
  return new SecretValue({ client: shared(), arn, time: systemTime }, (text) => text.trim());
}
