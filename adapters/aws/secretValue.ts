/** One secret of the installation, read from Secrets Manager and kept for a short while. */
import { GetSecretValueCommand, type SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import type { Time } from '../../core/ports.ts';

/** After this long it is read again: so a rotated value is in use everywhere a minute later, without a deploy. */
export const SECRET_TTL_MS = 60_000;
/** A reader that finds the kept value too old for it may ask earlier, but not at every call: a forger sets its pace. */
const REFRESH_MS_MIN = 5000;

export interface SecretValueOptions {
  readonly client: SecretsManagerClient;
  readonly arn: string;
  readonly time: Pick<Time, 'now'>;
}

export class SecretValue<Value> {
  readonly #options: SecretValueOptions;
  readonly #parse: (text: string) => Value;
  #kept: { readonly value: Value; readonly readAt: number } | undefined;
  #reading: Promise<Value> | undefined;

  /** @param parse what is made of the secret's text; its errors must not quote it */
  constructor(options: SecretValueOptions, parse: (text: string) => Value) {
    this.#options = options;
    this.#parse = parse;
  }

  /** @throws what the SDK throws where the secret cannot be read and none is kept that is fresh enough */
  async read(): Promise<Value> {
    return this.#freshWithin(SECRET_TTL_MS);
  }

  /** The value as it stands now, for somebody whom the kept one does not satisfy. Bounded in how often it asks. */
  async readAgain(): Promise<Value> {
    return this.#freshWithin(REFRESH_MS_MIN);
  }

  async #freshWithin(ageMs: number): Promise<Value> {
    const { time } = this.#options;
    if (this.#kept !== undefined && time.now() - this.#kept.readAt < ageMs) return this.#kept.value;
    this.#reading ??= this.#fetch().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #fetch(): Promise<Value> {
    const { client, arn, time } = this.#options;
    const readAt = time.now();
    const answer = await client.send(new GetSecretValueCommand({ SecretId: arn }));
    if (answer.SecretString === undefined) throw new Error(`the secret ${arn} has no text`);
    const value = this.#parse(answer.SecretString);
    this.#kept = { value, readAt };
    return value;
  }
}
