/** The API for commands: the client of `client/`, with the errors that a command ends with. */
import {
  Aborted,
  type Arguments,
  type Body,
  Candor,
  type CandorClientError,
  type JsonOperation,
  type Listing,
  NoAnswer,
  ProblemError,
  StrangeAnswer as Strange,
  UnfitParameter,
} from '../client/src/index.ts';
import type { Endpoint } from './connection.ts';
import { ApiProblem, type CliError, Interrupted, NoServer, NotResolved, StrangeAnswer } from './errors.ts';

export type { Arguments, Body, Item, JsonOperation, Listing, Operations } from '../client/src/index.ts';

export interface ClientOptions {
  /** Asked before the first request and again after each that found nobody: a server that was restarted may be elsewhere. */
  readonly endpoint: () => Promise<Endpoint>;
  readonly userAgent: string;
  /** Ends requests and waits with {@link Interrupted}. */
  readonly signal: AbortSignal;
  /** How long an answer may take; default 30 s. */
  readonly timeoutMs?: number;
}

/** Between the tries of {@link CandorClient.callPersistently}. */
const PERSIST_MS_FIRST = 250;
const PERSIST_MS_MAX = 5000;
/** A server that has not come back by then is not coming. */
const PERSIST_MS_TOTAL = 10 * 60_000;

/** A page of any list. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor?: string;
  readonly asOf?: string;
}

/** One connection to the API. Answers are taken to be what the contract says. */
export class CandorClient {
  readonly #candor: Candor;
  #remedy = 'Try again.';
  #hasAnswered = false;

  constructor({ endpoint, ...options }: ClientOptions) {
    this.#candor = new Candor({
      ...options,
      endpoint: async () => {
        const found = await endpoint();
        this.#remedy = found.remedy;
        return found;
      },
    });
  }

  /** @throws NoServer, ApiProblem, StrangeAnswer, NotResolved, Interrupted */
  async call<Name extends JsonOperation>(name: Name, ...args: Arguments<Name>): Promise<Body<Name>> {
    const answer = await this.#told(() => this.#candor.call(name, ...args));
    this.#hasAnswered = true;
    return answer;
  }

  /**
   * Asks, for as long as it takes a server that has answered before to come back. For reads.
   * @param onOutage called once per outage, before the first wait
   * @throws what {@link call} throws, but NoServer only after ten minutes without an answer
   */
  async callPersistently<Name extends JsonOperation>(
    onOutage: (error: CliError) => void,
    name: Name,
    ...args: Arguments<Name>
  ): Promise<Body<Name>> {
    const since = performance.now();
    for (let waitMs = PERSIST_MS_FIRST; ; waitMs = Math.min(waitMs * 2, PERSIST_MS_MAX)) {
      try {
        return await this.call(name, ...args);
      } catch (error) {
        // A server that has never answered is not away: it is not there, and the caller should hear that at once.
        if (!isPassing(error) || !this.#hasAnswered || performance.now() - since > PERSIST_MS_TOTAL) throw error;
        if (waitMs === PERSIST_MS_FIRST) onOutage(error);
        await this.pause(waitMs * (0.5 + Math.random() / 2));
      }
    }
  }

  /** All pages of a list, one after the other. @throws what {@link call} throws */
  async *pages<Name extends Listing>(name: Name, ...args: Arguments<Name>): AsyncGenerator<Body<Name>> {
    const pages = this.#candor.pages(name, ...args);
    for (;;) {
      const { done, value } = await this.#told(() => pages.next());
      if (done) return;
      yield value;
    }
  }

  /** Begins to read an artifact: {@link bodyOf} reads on. @throws what {@link call} throws */
  openArtifact(runId: string, path: string): Promise<Response> {
    return this.#told(() => this.#candor.openArtifact(runId, path));
  }

  /** The body of an opened answer, piece by piece. @throws NoServer where it breaks off, Interrupted */
  async *bodyOf(response: Response): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    try {
      for await (const chunk of this.#candor.bytesOf(response)) {
        bytes += chunk.length;
        yield chunk;
      }
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw cliError(error, this.#remedy);
      throw new NoServer(`The answer broke off after ${bytes} bytes (${error.reason}).`, {
        remedy: 'Try again.',
        cause: error,
      });
    }
  }

  /** @throws Interrupted */
  pause(ms: number): Promise<void> {
    return this.#told(() => this.#candor.pause(ms));
  }

  async #told<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw cliError(error, this.#remedy);
    }
  }
}

/** Whether the same read may succeed a little later. */
const isPassing = (error: unknown): error is CliError =>
  error instanceof NoServer || (error instanceof ApiProblem && [429, 502, 503, 504].includes(error.problem.status));

/** What the client threw, as the error that ends a command; what is not the client's passes. */
function cliError(error: unknown, remedy: string): unknown {
  if (error instanceof Aborted) return new Interrupted();
  if (error instanceof UnfitParameter) return new NotResolved(`"${error.value}" is not an id.`);
  if (error instanceof Strange) return new StrangeAnswer(error.message, { cause: error });
  if (error instanceof NoAnswer) {
    const key = error.idempotencyKey;
    const same = key === undefined ? '' : `, or send it under the same Idempotency-Key, ${key}`;
    const unsure = error.unsure
      ? ` Whether it carried the request out is not known: look before you send it again${same}.`
      : '';
    return new NoServer(`${error.message}${unsure}`, { remedy, cause: error satisfies CandorClientError });
  }
  if (!(error instanceof ProblemError)) return error;
  const { problem, version, retryAfterSeconds } = error;
  return new ApiProblem({ ...problem, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) }, version);
}
