/** One secret of the installation, read from Secrets Manager and kept for a short while. */
import { GetSecretValueCommand, type SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import type { Log, Time } from '../../core/ports.ts';

/** After this long it is read again: so a rotated value is in use everywhere a minute later, without a deploy. */
export const SECRET_TTL_MS = 60_000;
/** A reader that finds the kept value too old for it may ask earlier, but not at every call: a forger sets its pace. */
const REFRESH_MS_MIN = 5000;

export interface SecretValueOptions {
  readonly client: SecretsManagerClient;
  readonly arn: string;
  readonly time: Pick<Time, 'now'>;
  /** So long the last value is used where the secret cannot be read; absent: no longer than it is kept anyway. */
  readonly staleMsMax?: number;
  readonly log?: Pick<Log, 'warn'>;
}

export class SecretValue<Value> {
  readonly #options: SecretValueOptions;
  readonly #parse: (text: string) => Value;
  #kept: { readonly value: Value; readonly readAt: number } | undefined;
  #reading: Promise<Value> | undefined;
  #failed: { readonly error: unknown; readonly at: number } | undefined;

  /** @param parse what is made of the secret's text; its errors must not quote it */
  constructor(options: SecretValueOptions, parse: (text: string) => Value) {
    this.#options = options;
    this.#parse = parse;
  }

  /** @throws what the SDK throws where the secret cannot be read and none is kept that is fresh enough */
  async read(): Promise<Value> {
    try {
      return await this.#freshWithin(SECRET_TTL_MS);
    } catch (error) {
      const { time, staleMsMax = 0 } = this.#options;
      if (this.#kept === undefined || time.now() - this.#kept.readAt >= staleMsMax) throw error;
      return this.#kept.value;
    }
  }

  /**
   * The value as it stands now, for somebody whom the kept one does not satisfy. Bounded in how often it asks.
   * @throws what the SDK throws where the secret cannot be read: an old value says nothing then
   */
  async readAgain(): Promise<Value> {
    return this.#freshWithin(REFRESH_MS_MIN);
  }

  async #freshWithin(ageMs: number): Promise<Value> {
    const now = this.#options.time.now();
    if (this.#kept !== undefined && now - this.#kept.readAt < ageMs) return this.#kept.value;
    // Nobody who can do with the kept value should wait for each other's time-outs.
    if (this.#kept !== undefined && this.#failed !== undefined && now - this.#failed.at < REFRESH_MS_MIN)
      throw this.#failed.error;
    this.#reading ??= this.#fetch()
      .catch((error: unknown) => this.#note(error))
      .finally(() => {
        this.#reading = undefined;
      });
    return this.#reading;
  }

  #note(error: unknown): never {
    const { time, arn, log } = this.#options;
    this.#failed = { error, at: time.now() };
    log?.warn('secret.unreadable', { arn, error: String(error), isKept: this.#kept !== undefined });
    throw error;
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
