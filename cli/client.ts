/**
 * The HTTP client: speaks JSON and problem+json to the API. It repeats reads, and POSTs under an Idempotency-Key, by which the
 * server tells a repeat.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Endpoint } from './connection.ts';
import {
  ApiProblem,
  type CliError,
  Interrupted,
  NoServer,
  NotResolved,
  type Problem,
  StrangeAnswer,
} from './errors.ts';

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface ClientOptions {
  /** Asked before the first request and again after each that found nobody: a server that was restarted may be elsewhere. */
  readonly endpoint: () => Promise<Endpoint>;
  readonly userAgent: string;
  /** Ends requests and waits with {@link Interrupted}. */
  readonly signal: AbortSignal;
  /** How long an answer may take; default 30 s. */
  readonly timeoutMs?: number;
}

export interface SendOptions {
  readonly query?: Query;
  readonly body?: unknown;
  /** A version, or `*` for whatever stands. */
  readonly ifMatch?: string | undefined;
  /** Of a POST; default: one of its own. */
  readonly idempotencyKey?: string | undefined;
}

export interface GetOptions {
  readonly query?: Query;
  /** How long the server may hold the request back, beside the time that it has anyway. */
  readonly longPollSeconds?: number;
}

const TIMEOUT_MS = 30_000;
const TRIES = 3;
const RETRY_MS_FIRST = 150;
const RETRY_AFTER_SECONDS_MAX = 5;
/** Between the tries of {@link CandorClient.getPersistently}. */
const PERSIST_MS_FIRST = 250;
const PERSIST_MS_MAX = 5000;
/** A server that has not come back by then is not coming. */
const PERSIST_MS_TOTAL = 10 * 60_000;

/**
 * The path of a resource. Each part is encoded, so that an id cannot lead elsewhere.
 * @throws NotResolved for a part that no encoding makes an id
 */
export function apiPath(...parts: readonly string[]): string {
  const odd = parts.find((part) => /^\.*$/.test(part));
  if (odd !== undefined) throw new NotResolved(`"${odd}" is not an id.`);
  return `/v1/${parts.map(encodeURIComponent).join('/')}`;
}

/** One connection to the API. Answers are taken to be what the contract says. */
export class CandorClient {
  readonly #options: ClientOptions;
  #endpoint: Endpoint | undefined;
  #hasAnswered = false;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /**
   * Reads. It is tried again when nobody answers, and after a 503.
   * @throws NoServer, ApiProblem, StrangeAnswer, Interrupted
   */
  get<T>(path: string, options: GetOptions = {}): Promise<T> {
    return this.#repeated(() => this.#request<T>('GET', path, options.query ? { query: options.query } : {}, options));
  }

  /**
   * Begins to read what is no JSON. The answer has arrived, its body has not: {@link bodyOf} reads it.
   * @throws what {@link get} throws
   */
  open(path: string, query: Query): Promise<Response> {
    return this.#repeated(async () => {
      this.#endpoint ??= await this.#options.endpoint();
      const url = urlOf(this.#endpoint, path, query);
      const here = await this.#opened(url, this.#headers(this.#endpoint, {}));
      if (here.ok) return here;
      const location = here.status < 400 ? here.headers.get('location') : null;
      if (location === null) return answerOf<never>(here, await here.text(), url);
      const elsewhere = new URL(location, url);
      // The credential is for the API alone: whoever keeps the bytes is opened by what stands in the address.
      const there = await this.#opened(elsewhere, { 'User-Agent': this.#options.userAgent });
      if (there.ok) return there;
      throw new StrangeAnswer(`${elsewhere.host}, where the content lies, answered ${there.status}.`);
    });
  }

  /**
   * The body of an opened answer, piece by piece.
   * @throws NoServer where it breaks off, Interrupted
   */
  async *bodyOf(response: Response): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    try {
      for await (const chunk of response.body ?? []) {
        bytes += chunk.length;
        yield chunk;
      }
    } catch (cause) {
      if (this.#options.signal.aborted) throw new Interrupted();
      throw new NoServer(`The answer broke off after ${bytes} bytes (${causeCode(cause)}).`, {
        remedy: 'Try again.',
        cause,
      });
    }
  }

  async #repeated<T>(send: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await send();
      } catch (error) {
        if (attempt >= TRIES || !isPassing(error)) throw error;
        await this.pause(RETRY_MS_FIRST * 2 ** (attempt - 1) * (0.5 + Math.random()) + retryAfterMs(error));
      }
    }
  }

  /**
   * Reads, for as long as it takes a server that has answered before to come back.
   * @param onOutage called once per outage, before the first wait
   * @throws what {@link get} throws, but NoServer only after ten minutes without an answer
   */
  async getPersistently<T>(path: string, options: GetOptions, onOutage: (error: CliError) => void): Promise<T> {
    const since = performance.now();
    for (let waitMs = PERSIST_MS_FIRST; ; waitMs = Math.min(waitMs * 2, PERSIST_MS_MAX)) {
      try {
        return await this.get<T>(path, options);
      } catch (error) {
        // A server that has never answered is not away: it is not there, and the caller should hear that at once.
        if (!isPassing(error) || !this.#hasAnswered || performance.now() - since > PERSIST_MS_TOTAL) throw error;
        if (waitMs === PERSIST_MS_FIRST) onOutage(error);
        await this.pause(waitMs * (0.5 + Math.random() / 2));
      }
    }
  }

  /** All pages of a list, one after the other. */
  async *pages<T>(path: string, query: Query = {}): AsyncGenerator<Page<T>> {
    let cursor: string | undefined;
    do {
      const page: Page<T> = await this.get<Page<T>>(path, { query: { ...query, ...(cursor && { cursor }) } });
      yield page;
      if (page.nextCursor !== undefined && page.nextCursor === cursor)
        throw new StrangeAnswer(`The list ${path} does not go on: its cursor points to itself.`);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  }

  /**
   * Has an effect, once: it is tried again as a read is, each time under the same key.
   * @throws NoServer, ApiProblem, StrangeAnswer, Interrupted
   */
  post<T>(path: string, options: SendOptions = {}): Promise<T> {
    const idempotencyKey = options.idempotencyKey ?? randomUUID();
    return this.#repeated(() => this.#request<T>('POST', path, { body: {}, ...options, idempotencyKey }));
  }

  /** @throws NoServer, ApiProblem, StrangeAnswer, Interrupted */
  patch<T>(path: string, options: SendOptions): Promise<T> {
    return this.#request<T>('PATCH', path, options);
  }

  /** @throws NoServer, ApiProblem, StrangeAnswer, Interrupted */
  delete<T>(path: string, options: SendOptions): Promise<T | undefined> {
    return this.#request<T | undefined>('DELETE', path, options);
  }

  /** @throws Interrupted */
  async pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#options.signal }).catch(() => {
      throw new Interrupted();
    });
  }

  async #request<T>(method: string, path: string, send: SendOptions, get: GetOptions = {}): Promise<T> {
    this.#endpoint ??= await this.#options.endpoint();
    const endpoint = this.#endpoint;
    const url = urlOf(endpoint, path, send.query ?? {});
    const timeoutMs = (this.#options.timeoutMs ?? TIMEOUT_MS) + (get.longPollSeconds ?? 0) * 1000;
    let response: Response;
    let text: string;
    try {
      response = await fetch(url, {
        method,
        headers: this.#headers(endpoint, send),
        ...(send.body !== undefined && { body: JSON.stringify(send.body) }),
        // A redirected POST would silently become a GET.
        redirect: 'manual',
        signal: AbortSignal.any([this.#options.signal, AbortSignal.timeout(timeoutMs)]),
      });
      text = await response.text();
    } catch (error) {
      this.#endpoint = undefined;
      if (this.#options.signal.aborted) throw new Interrupted();
      throw noAnswer(endpoint, method, timeoutMs, error, send.idempotencyKey);
    }
    const answer = answerOf<T>(response, text, url);
    this.#hasAnswered = true;
    return answer;
  }

  /** The time limit is for the beginning of the answer: how long all of it takes is not known. */
  async #opened(url: URL, headers: Record<string, string>): Promise<Response> {
    const timeoutMs = this.#options.timeoutMs ?? TIMEOUT_MS;
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(new DOMException('no answer', 'TimeoutError')), timeoutMs);
    try {
      const signal = AbortSignal.any([this.#options.signal, patience.signal]);
      return await fetch(url, { headers, redirect: 'manual', signal });
    } catch (error) {
      this.#endpoint = undefined;
      if (this.#options.signal.aborted) throw new Interrupted();
      throw noAnswer({ url: url.origin, remedy: 'Try again.' }, 'GET', timeoutMs, error);
    } finally {
      clearTimeout(timer);
    }
  }

  #headers(endpoint: Endpoint, send: SendOptions): Record<string, string> {
    return {
      Authorization: `Bearer ${endpoint.token}`,
      Accept: 'application/json, application/problem+json',
      'User-Agent': this.#options.userAgent,
      ...(send.body !== undefined && { 'Content-Type': 'application/json' }),
      ...(send.idempotencyKey !== undefined && { 'Idempotency-Key': send.idempotencyKey }),
      ...(send.ifMatch !== undefined && { 'If-Match': send.ifMatch === '*' ? '*' : `"${send.ifMatch}"` }),
    };
  }
}

function urlOf(endpoint: Endpoint, path: string, query: Query): URL {
  const url = new URL(`${endpoint.url}${path}`);
  for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, String(value));
  return url;
}

/** A page of any list. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor?: string;
  readonly asOf?: string;
}

const PASSING_STATUS = [429, 502, 503, 504];

/** Whether the same request may succeed a little later. */
const isPassing = (error: unknown): error is CliError =>
  error instanceof NoServer ||
  (error instanceof ApiProblem &&
    (PASSING_STATUS.includes(error.problem.status) || error.problem.code === 'idempotency_in_flight'));

const retryAfterMs = (error: unknown): number => {
  const seconds = error instanceof ApiProblem ? Number(error.problem.retryAfterSeconds) : 0;
  return seconds > 0 ? Math.min(seconds, RETRY_AFTER_SECONDS_MAX) * 1000 : 0;
};

function noAnswer(
  endpoint: Omit<Endpoint, 'token'>,
  method: string,
  timeoutMs: number,
  error: unknown,
  key?: string,
): NoServer {
  // A write that was refused at the door did not happen; of any other one it is not known.
  const code = causeCode(error);
  const unsure =
    method !== 'GET' && code !== 'ECONNREFUSED' && code !== 'ENOTFOUND'
      ? ` Whether it carried the request out is not known: look before you send it again${key === undefined ? '' : `, or send it under the same Idempotency-Key, ${key}`}.`
      : '';
  const timedOut = error instanceof Error && error.name === 'TimeoutError';
  const what = timedOut ? `did not answer within ${timeoutMs / 1000} s` : `does not answer (${code})`;
  return new NoServer(`The server at ${endpoint.url} ${what}.${unsure}`, { remedy: endpoint.remedy, cause: error });
}

/** Undici hides what happened one or two causes deep. */
function causeCode(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause)
    if ('code' in at && typeof at.code === 'string') return at.code;
  return error instanceof Error ? error.message : String(error);
}

function answerOf<T>(response: Response, text: string, url: URL): T {
  const body = parseJson(text);
  if (response.ok) {
    if (text === '') return undefined as T;
    if (body === undefined)
      throw new StrangeAnswer(`${url.origin} answered ${response.status}, but not with JSON: is it a Candor server?`);
    return body as T;
  }
  const etag = response.headers.get('etag') ?? undefined;
  const retryAfter = response.headers.get('retry-after');
  const location = response.headers.get('location');
  const told = typeof body === 'object' && body !== null ? (body as Partial<Problem>) : {};
  throw new ApiProblem(
    {
      ...(location !== null && response.status < 400 && { detail: `It redirects to ${location}.` }),
      ...told,
      title: told.title ?? `The server answered ${response.status} ${response.statusText}`.trim(),
      status: response.status,
      ...(retryAfter !== null && { retryAfterSeconds: Number(retryAfter) }),
    },
    etag,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
