/**
 * Sends webhooks: the name is looked up once, every address that comes is checked, and the connection goes to one of those
 * very addresses, so that a name that says something else a moment later (DNS rebinding) leads nowhere. Redirects are not
 * followed, answers are cut short, and everything has one time limit.
 */
import { promises as dns, type LookupAddress } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import type { LookupFunction } from 'node:net';
import type { WebhookAnswer, WebhookRequest, WebhookSender } from '../../core/ports.ts';
import { addressRefusal, literalOf, urlRefusal } from './addresses.ts';

export interface SenderOptions {
  /** Also http, loopback and private addresses: for trying it out on one machine. */
  readonly allowPrivate?: boolean;
  /** For tests: looks a name up. */
  readonly lookup?: (hostname: string) => Promise<readonly LookupAddress[]>;
  /** For tests: why nothing is sent to an address. */
  readonly refusalOf?: (address: string) => string | undefined;
  /** For tests: whose certificates are good. */
  readonly ca?: string;
}

/** Nobody reads it; so much is let pass, so that an endpoint which says a little is not cut off. */
const ANSWER_BYTES_MAX = 64 * 1024;
const HEADER_BYTES_MAX = 16 * 1024;
const USER_AGENT = 'Candor-Webhooks/1';

const lookupAll = (hostname: string): Promise<readonly LookupAddress[]> => dns.lookup(hostname, { all: true });

/** Nothing may be sent there. */
class NotAllowed extends Error {}

export class HttpWebhookSender implements WebhookSender {
  readonly #allowPrivate: boolean;
  readonly #lookup: (hostname: string) => Promise<readonly LookupAddress[]>;
  readonly #refusalOf: (address: string) => string | undefined;
  readonly #ca: string | undefined;

  constructor(options: SenderOptions = {}) {
    this.#allowPrivate = options.allowPrivate === true;
    this.#lookup = options.lookup ?? lookupAll;
    this.#refusalOf = options.refusalOf ?? (this.#allowPrivate ? () => undefined : addressRefusal);
    this.#ca = options.ca;
  }

  refusal(url: string): string | undefined {
    return urlRefusal(url, { allowPrivate: this.#allowPrivate });
  }

  async send(request: WebhookRequest): Promise<WebhookAnswer> {
    const startedAt = performance.now();
    const tookMs = () => Math.round(performance.now() - startedAt);
    const signal = AbortSignal.timeout(request.timeoutMs);
    try {
      const url = new URL(request.url);
      const refusal = this.refusal(request.url) ?? this.#literalRefusal(url);
      if (refusal !== undefined) return { kind: 'not_allowed', detail: refusal };
      // The look-up itself cannot be aborted; whoever waits for it can be.
      const addresses = await Promise.race([this.#addresses(url), aborted(signal)]);
      const { status, retryAfterSeconds } = await this.#post(url, addresses, request, signal);
      return {
        kind: 'answered',
        status,
        ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
        tookMs: tookMs(),
      };
    } catch (error) {
      if (error instanceof NotAllowed) return { kind: 'not_allowed', detail: error.message };
      if (signal.aborted)
        return { kind: 'timed_out', detail: `no answer within ${request.timeoutMs / 1000} s`, tookMs: tookMs() };
      return { kind: 'failed', detail: wordsOf(error), tookMs: tookMs() };
    }
  }

  #literalRefusal(url: URL): string | undefined {
    const literal = literalOf(url);
    return literal === undefined ? undefined : this.#refusalOf(literal);
  }

  /** All addresses of the name, each of them checked: one bad one among good ones is no accident. */
  async #addresses(url: URL): Promise<readonly LookupAddress[]> {
    if (literalOf(url) !== undefined) return [];
    const found = await this.#lookup(url.hostname);
    if (found.length === 0) throw new Error(`${url.hostname} has no address`);
    for (const { address } of found) {
      const refusal = this.#refusalOf(address);
      if (refusal !== undefined) throw new NotAllowed(`${url.hostname} leads to ${refusal}`);
    }
    return found;
  }

  #post(
    url: URL,
    addresses: readonly LookupAddress[],
    { headers, body }: WebhookRequest,
    signal: AbortSignal,
  ): Promise<{ readonly status: number; readonly retryAfterSeconds: number | undefined }> {
    const { request } = url.protocol === 'https:' ? https : http;
    const content = Buffer.from(body, 'utf8');
    return new Promise((resolve, reject) => {
      const outgoing = request(
        url,
        {
          method: 'POST',
          signal,
          // A connection of its own, which ends with it: one that is kept was checked for another look-up.
          agent: false,
          maxHeaderSize: HEADER_BYTES_MAX,
          lookup: pinned(addresses),
          headers: { ...headers, 'content-length': content.length, 'user-agent': USER_AGENT, connection: 'close' },
          ...(this.#ca !== undefined && { ca: this.#ca }),
        },
        (incoming) => {
          const status = incoming.statusCode ?? 0;
          const retryAfterSeconds = secondsOf(incoming.headers['retry-after']);
          let bytes = 0;
          const done = () => {
            resolve({ status, retryAfterSeconds });
            incoming.destroy();
          };
          incoming.on('data', (chunk: Buffer) => {
            bytes += chunk.length;
            if (bytes > ANSWER_BYTES_MAX) done();
          });
          incoming.once('end', done);
          // The status has come: whatever becomes of the rest, that is the answer. Unless the time was up.
          incoming.once('error', (error) => (signal.aborted ? reject(error) : done()));
        },
      );
      outgoing.once('error', reject);
      outgoing.end(content);
    });
  }
}

/** In place of a second look-up: the addresses that were checked. */
const pinned =
  (addresses: readonly LookupAddress[]): LookupFunction =>
  (hostname, options, callback) => {
    const [first] = addresses;
    if (first === undefined) callback(new Error(`${hostname} was not looked up`), '', 0);
    else if (options.all === true) callback(null, [...addresses]);
    else callback(null, first.address, first.family);
  };

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('the time is up')), { once: true });
  });

const secondsOf = (header: string | undefined): number | undefined =>
  header !== undefined && /^\d{1,9}$/.test(header) ? Number(header) : undefined;

const DETAIL_MAX = 200;
function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error).slice(0, DETAIL_MAX);
  // Several addresses were tried: what the first of them said stands for all.
  const cause: unknown = error instanceof AggregateError ? (error.errors[0] ?? error) : error;
  return (cause instanceof Error ? cause.message : String(cause)).slice(0, DETAIL_MAX);
}
