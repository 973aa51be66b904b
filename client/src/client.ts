/** Calls to the API of Candor: typed by operation, repeated where that is safe, with errors that say what is known. */
import { OPERATIONS, type Operations } from './contract.ts';
import { Aborted, CandorClientError, NoAnswer, type ProblemBody, ProblemError, StrangeAnswer } from './errors.ts';
import { type Arguments, ifMatchOf, type OperationName, type Plain, urlOf } from './request.ts';

export interface Endpoint {
  readonly url: string;
  readonly token: string;
}

export interface ClientOptions {
  /** Where the server is. A function is asked before the first request and again after each that found nobody. */
  readonly endpoint: Endpoint | (() => Promise<Endpoint>);
  readonly userAgent?: string;
  /** Ends every call and every wait. */
  readonly signal?: AbortSignal;
  /** How long an answer may take; default 30 s. */
  readonly timeoutMs?: number;
  /** How often a request is sent that may be sent again: reads, and every POST, by its idempotency key; default 3. */
  readonly tries?: number;
  readonly fetch?: typeof fetch;
}

/** An answer with what its headers say. */
export interface Answer<Body> {
  readonly status: number;
  readonly body: Body;
  /** From the ETag. */
  readonly version?: string;
  readonly location?: string;
  readonly requestId?: string;
}

export type Body<Name extends OperationName> = Operations[Name]['answer'];

/** Operations whose answer is JSON, or nothing. */
export type JsonOperation = {
  [Name in OperationName]: Response extends Body<Name> ? never : Name;
}[OperationName];

interface ListPage {
  readonly items: readonly unknown[];
  readonly nextCursor?: string;
}
/** Operations that answer page by page. */
export type Listing = {
  [Name in OperationName]: Body<Name> extends ListPage
    ? Operations[Name]['query'] extends { readonly cursor?: string | undefined } | undefined
      ? Name
      : never
    : never;
}[OperationName];
export type Item<Name extends Listing> = Body<Name> extends { readonly items: readonly (infer One)[] } ? One : never;

const TIMEOUT_MS = 30_000;
const TRIES = 3;
const RETRY_MS_FIRST = 150;
const RETRY_AFTER_SECONDS_MAX = 30;
const LONG_POLL_SECONDS = 20;
/** Between two empty answers of a server that does not hold requests back. */
const POLL_PAUSE_MS = 1000;
const PASSING = [429, 502, 503, 504];
/** The first request with this key is at work: its answer comes soon. */
const IN_FLIGHT = 'idempotency_in_flight';

/** Whether the same request may succeed a little later. */
export const isPassing = (error: unknown): boolean =>
  error instanceof NoAnswer ||
  (error instanceof ProblemError && (PASSING.includes(error.status) || error.code === IN_FLIGHT));

/** None where the page is not served securely: then nothing is sent again. */
const newKey = (): string | undefined => globalThis.crypto?.randomUUID?.();

const plainOf = (args: readonly unknown[]): Plain => (args[0] ?? {}) as Plain;

export class Candor {
  readonly #options: ClientOptions;
  readonly #fetch: typeof fetch;
  #endpoint: Endpoint | undefined;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#fetch = options.fetch ?? fetch;
  }

  /**
   * Asks for an operation, and answers its body.
   * @throws ProblemError, NoAnswer, StrangeAnswer, UnfitParameter, Aborted
   */
  async call<Name extends JsonOperation>(name: Name, ...args: Arguments<Name>): Promise<Body<Name>> {
    return (await this.send(name, ...args)).body;
  }

  /** As {@link call}, with the status and the headers of the answer. */
  send<Name extends JsonOperation>(name: Name, ...args: Arguments<Name>): Promise<Answer<Body<Name>>> {
    const { method } = OPERATIONS[name];
    const given = plainOf(args);
    // One key for all tries: whatever becomes of them, there is one effect.
    const idempotencyKey = method === 'POST' ? (given.idempotencyKey ?? newKey()) : undefined;
    const plain = { ...given, ...(idempotencyKey !== undefined && { idempotencyKey }) };
    const safe = method === 'GET' || idempotencyKey !== undefined;
    return this.#repeated(plain, safe, async () => {
      const { url, response, text } = await this.#request(name, plain);
      return answerOf<Body<Name>>(response, text, url);
    });
  }

  /** All pages of a list, one after the other. */
  async *pages<Name extends Listing>(name: Name, ...args: Arguments<Name>): AsyncGenerator<Body<Name>> {
    const plain = plainOf(args);
    let cursor = plain.query?.cursor as string | undefined;
    for (;;) {
      const next = { ...plain, query: { ...plain.query, cursor } };
      const page = (await this.call(name, ...([next] as unknown as Arguments<Name>))) as Body<Name> & ListPage;
      yield page;
      if (page.nextCursor === undefined) return;
      if (page.nextCursor === cursor)
        throw new StrangeAnswer(`The list ${name} does not go on: its cursor points to itself.`);
      cursor = page.nextCursor;
    }
  }

  /** All items of a list. */
  async *items<Name extends Listing>(name: Name, ...args: Arguments<Name>): AsyncGenerator<Item<Name>> {
    for await (const page of this.pages(name, ...args))
      yield* (page as unknown as { items: readonly Item<Name>[] }).items;
  }

  /** What a run writes, as it writes it, until the log of the attempt is complete. */
  async *followLogs(
    runId: string,
    options: { readonly attempt?: number; readonly cursor?: string; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<Body<'getRunLogs'>> {
    const { attempt, signal } = options;
    let { cursor } = options;
    for (;;) {
      const askedAt = Date.now();
      const query = { cursor, attempt, wait: LONG_POLL_SECONDS };
      const page = await this.call('getRunLogs', { path: { runId }, query, signal });
      if (page.items.length > 0 || page.complete) yield page;
      if (page.complete) return;
      const nothingNew = page.items.length === 0 || page.nextCursor === cursor;
      if (nothingNew && Date.now() - askedAt < POLL_PAUSE_MS) await this.pause(POLL_PAUSE_MS, signal);
      cursor = page.nextCursor;
    }
  }

  /**
   * Begins to read an artifact, wherever its bytes are kept. The answer has arrived, its body has not: {@link bytesOf}
   * reads it.
   */
  openArtifact(runId: string, path: string, options: { readonly signal?: AbortSignal } = {}): Promise<Response> {
    return this.#repeated(options, true, async () => {
      const { url, init } = await this.#prepared('getArtifact', { path: { runId }, query: { path }, ...options });
      const here = await this.#opened(url, init, options);
      if (here.ok) return here;
      const location = here.status < 400 ? here.headers.get('location') : null;
      if (location === null) return answerOf<never>(here, await here.text(), url).body;
      const elsewhere = new URL(location, url);
      // The credential is for the API alone: whoever keeps the bytes is opened by what stands in the address.
      const there = await this.#opened(elsewhere, { headers: this.#agent() }, options);
      if (there.ok) return there;
      throw new StrangeAnswer(`${elsewhere.host}, where the content lies, answered ${there.status}.`);
    });
  }

  /** The body of an opened answer, piece by piece. @throws NoAnswer where it breaks off, Aborted */
  async *bytesOf(response: Response): AsyncGenerator<Uint8Array> {
    try {
      const reader = response.body?.getReader();
      for (;;) {
        const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
        if (done || value === undefined) return;
        yield value;
      }
    } catch (error) {
      if (error instanceof CandorClientError) throw error;
      if (this.#options.signal?.aborted) throw new Aborted(error);
      throw new NoAnswer(new URL(response.url).origin, error, { unsure: false });
    }
  }

  /** Waits. @throws Aborted */
  pause(ms: number, signal?: AbortSignal): Promise<void> {
    const stop = this.#signals(signal);
    return new Promise((resolve, reject) => {
      if (stop?.aborted) return reject(new Aborted());
      const timer = setTimeout(() => {
        stop?.removeEventListener('abort', ended);
        resolve();
      }, ms);
      const ended = () => {
        clearTimeout(timer);
        reject(new Aborted());
      };
      stop?.addEventListener('abort', ended, { once: true });
    });
  }

  async #repeated<T>({ signal }: Plain, safe: boolean, ask: () => Promise<T>): Promise<T> {
    const tries = safe ? (this.#options.tries ?? TRIES) : 1;
    for (let attempt = 1; ; attempt++) {
      try {
        return await ask();
      } catch (error) {
        if (attempt >= tries || !isPassing(error)) throw error;
        const asked = error instanceof ProblemError ? (error.retryAfterSeconds ?? 0) : 0;
        const backoffMs = RETRY_MS_FIRST * 2 ** (attempt - 1) * (0.5 + Math.random());
        await this.pause(backoffMs + Math.min(asked, RETRY_AFTER_SECONDS_MAX) * 1000, signal);
      }
    }
  }

  async #prepared(name: OperationName, request: Plain) {
    this.#endpoint ??= await this.#located();
    const { body, ifMatch, idempotencyKey } = request;
    const headers: Record<string, string> = {
      Authorization: `Bearer ${this.#endpoint.token}`,
      Accept: 'application/json, application/problem+json',
      ...this.#agent(),
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...(ifMatch !== undefined && { 'If-Match': ifMatchOf(ifMatch) }),
      ...(idempotencyKey !== undefined && { 'Idempotency-Key': idempotencyKey }),
    };
    const init = {
      method: OPERATIONS[name].method,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    };
    return { url: urlOf(this.#endpoint.url, name, request), init };
  }

  #located(): Promise<Endpoint> {
    const { endpoint } = this.#options;
    return typeof endpoint === 'function' ? endpoint() : Promise.resolve(endpoint);
  }

  async #request(name: OperationName, request: Plain) {
    const { url, init } = await this.#prepared(name, request);
    const wait = Number(request.query?.wait ?? 0) * 1000;
    const timeoutMs = (request.timeoutMs ?? this.#options.timeoutMs ?? TIMEOUT_MS) + wait;
    const patience = AbortSignal.timeout(timeoutMs);
    try {
      const signal = AbortSignal.any([patience, ...this.#given(request.signal)]);
      // A redirected POST would silently become a GET.
      const response = await this.#fetch(url, { ...init, redirect: 'manual', signal });
      return { url, response, text: await response.text() };
    } catch (error) {
      throw this.#failed(url, error, { ...request, method: init.method, timeoutMs });
    }
  }

  /** The time limit is for the beginning of the answer: how long all of it takes is not known. */
  async #opened(url: URL, init: RequestInit, { signal, timeoutMs = this.#options.timeoutMs ?? TIMEOUT_MS }: Plain) {
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(new DOMException('no answer', 'TimeoutError')), timeoutMs);
    try {
      const stop = AbortSignal.any([patience.signal, ...this.#given(signal)]);
      return await this.#fetch(url, { ...init, redirect: 'manual', signal: stop });
    } catch (error) {
      throw this.#failed(url, error, { method: 'GET', timeoutMs, signal });
    } finally {
      clearTimeout(timer);
    }
  }

  #failed(
    url: URL,
    error: unknown,
    { method, timeoutMs, signal, idempotencyKey }: Plain & { readonly method: string },
  ) {
    const asked = this.#endpoint;
    this.#endpoint = undefined;
    if (this.#signals(signal)?.aborted) return new Aborted(error);
    const timedOut = error instanceof Error && error.name === 'TimeoutError';
    const answer = new NoAnswer(asked?.url ?? url.origin, error, {
      ...(timedOut && { timedOutAfterMs: timeoutMs }),
      unsure: false,
    });
    // A write that was refused at the door did not happen; of any other one it is not known.
    const unsure = method !== 'GET' && !['ECONNREFUSED', 'ENOTFOUND'].includes(answer.reason);
    const { timedOutAfterMs } = answer;
    return unsure ? new NoAnswer(answer.url, error, { timedOutAfterMs, unsure, idempotencyKey }) : answer;
  }

  #agent(): Record<string, string> {
    const { userAgent } = this.#options;
    return userAgent === undefined ? {} : { 'User-Agent': userAgent };
  }

  #given = (signal: AbortSignal | undefined): readonly AbortSignal[] =>
    [signal, this.#options.signal].filter((each) => each !== undefined);

  #signals(signal: AbortSignal | undefined): AbortSignal | undefined {
    const given = this.#given(signal);
    return given.length === 0 ? undefined : AbortSignal.any([...given]);
  }
}

function answerOf<T>(response: Response, text: string, url: URL): Answer<T> {
  const body = parsed(text);
  const version = response.headers.get('etag')?.replace(/^"(.*)"$/, '$1');
  const location = response.headers.get('location');
  if (response.ok) {
    if (text !== '' && body === undefined)
      throw new StrangeAnswer(`${url.origin} answered ${response.status}, but not with JSON: is it a Candor server?`);
    const requestId = response.headers.get('x-request-id');
    return {
      status: response.status,
      body: (text === '' ? undefined : body) as T,
      ...(version !== undefined && { version }),
      ...(location !== null && { location }),
      ...(requestId !== null && { requestId }),
    };
  }
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  const told = typeof body === 'object' && body !== null ? (body as Partial<ProblemBody>) : {};
  throw new ProblemError(
    {
      ...(location !== null && response.status < 400 && { detail: `It redirects to ${location}.` }),
      ...told,
      title: told.title ?? `The server answered ${response.status} ${response.statusText}`.trim(),
      status: response.status,
    },
    {
      ...(version !== undefined && { version }),
      ...(Number.isFinite(retryAfter) && { retryAfterSeconds: retryAfter }),
    },
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
