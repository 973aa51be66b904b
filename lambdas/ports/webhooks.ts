/** For functions that keep webhooks' secrets, and for the one that sends. */
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SecretValue } from '../../adapters/aws/secretValue.ts';
import { sealsWith } from '../../adapters/system/seals.ts';
import { systemTime } from '../../adapters/system/time.ts';
import { HttpWebhookSender } from '../../adapters/webhooks/sender.ts';
import { variables } from '../environment.ts';

/** The key that seals is kept for a minute, like every secret of the installation. */
export function webhookPorts() {
  const { CANDOR_SEALING_SECRET_ARN: arn } = variables(['CANDOR_SEALING_SECRET_ARN']);
  const client = new SecretsManagerClient({
    requestHandler: { connectionTimeout: 2000, requestTimeout: 10_000, throwOnRequestTimeout: true },
  });
  const key = new SecretValue<Uint8Array>({ client, arn, time: systemTime }, (text) => Buffer.from(text, 'utf8'));
  return { seals: sealsWith(() => key.read()), webhooks: new HttpWebhookSender() };
}
