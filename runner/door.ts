/** The HTTP side of the runner's door (design.md §5.5): sends a request, and says what came of it. Never throws. */
import type { FileHandle } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { SendHere } from '../core/contract/runner.ts';

export type Answer =
  | { readonly kind: 'ok'; readonly body: unknown }
  /** The server answered, with an error. `code` is the problem's stable code, if it named one. */
  | { readonly kind: 'refused'; readonly status: number; readonly code: string | undefined }
  /** Nothing that makes sense came back. Whether the request was applied is not known. */
  | { readonly kind: 'unreachable'; readonly reason: string };

export interface DoorRequest {
  readonly url: string;
  readonly method: 'POST' | 'PUT';
  /** A token, or the headers of a request that is signed. */
  readonly proof: string | Readonly<Record<string, string>>;
  readonly body: string | Buffer;
  readonly timeoutMs: number;
}

export async function send({ url, method, proof, body, timeoutMs }: DoorRequest): Promise<Answer> {
  try {
    const request = open(url, method, AbortSignal.timeout(timeoutMs), {
      'content-type': 'application/json',
      ...(typeof proof === 'string' ? { authorization: `Bearer ${proof}` } : proof),
      'content-length': Buffer.byteLength(body),
    });
    const answer = answerOf(request);
    request.end(body);
    const { status, text } = await answer;
    if (!isSuccess(status)) return refusal(status, text);
    if (text === '') return { kind: 'ok', body: undefined };
    const parsed = parse(text);
    return parsed === undefined
      ? { kind: 'unreachable', reason: 'the answer is not JSON' }
      : { kind: 'ok', body: parsed };
  } catch (error) {
    return { kind: 'unreachable', reason: reasonOf(error) };
  }
}

/** A file as a request's body: opened anew for each time that it is sent. */
export interface FileBody {
  readonly bytes: number;
  readonly sha256: string;
  /** @throws if it cannot be read */
  readonly open: () => Promise<FileHandle>;
}

/** The slowest way to a store that is still worth waiting for. */
const FILE_BYTES_PER_MS_MIN = 100;
const FILE_TIMEOUT_MS_MIN = 30_000;
const ASK_FIRST_ABOVE_BYTES = 1024 * 1024;
/** What signed links of S3 ask for, to hold the bytes against it. */
const CHECKSUM_HEADER = 'x-amz-checksum-sha256';

/**
 * Puts a file to the server, or to where the server sends it: the token is the server's own and does not go there. Where
 * a larger one is wanted is asked first, for the way to the server may be too narrow for it.
 */
export async function sendFile(request: {
  readonly url: string;
  readonly bearer: string;
  readonly body: FileBody;
}): Promise<Answer> {
  const { url, bearer, body } = request;
  const proof = { authorization: `Bearer ${bearer}` };
  try {
    const asks = body.bytes > ASK_FIRST_ABOVE_BYTES;
    let answer = asks ? await ask(url, proof) : await putFile(url, body, proof);
    if (asks && isSuccess(answer.status)) {
      if (!saysHere(answer)) return { kind: 'unreachable', reason: 'the answer does not say where the file is wanted' };
      answer = await putFile(url, body, proof);
    }
    const { location } = answer.headers;
    if (answer.status === 307 && location !== undefined) {
      const target = new URL(location, url);
      answer = await putFile(target.href, body, checksumFor(target, body));
    }
    return isSuccess(answer.status) ? { kind: 'ok', body: undefined } : refusal(answer.status, answer.text);
  } catch (error) {
    return { kind: 'unreachable', reason: reasonOf(error) };
  }
}

function ask(url: string, proof: http.OutgoingHttpHeaders): Promise<RawAnswer> {
  const question = new URL(url);
  question.searchParams.set('ask', 'true');
  const headers = { ...proof, 'content-length': 0 };
  const request = open(question.href, 'PUT', AbortSignal.timeout(FILE_TIMEOUT_MS_MIN), headers);
  const answer = answerOf(request);
  request.end();
  return answer;
}

const saysHere = ({ text }: RawAnswer): boolean =>
  (parse(text) as Partial<SendHere> | null | undefined)?.send === 'here';

function checksumFor(target: URL, { sha256 }: FileBody): http.OutgoingHttpHeaders {
  const signed = target.searchParams.get('X-Amz-SignedHeaders')?.split(';') ?? [];
  return signed.includes(CHECKSUM_HEADER) ? { [CHECKSUM_HEADER]: Buffer.from(sha256, 'hex').toString('base64') } : {};
}

async function putFile(url: string, body: FileBody, headers: http.OutgoingHttpHeaders): Promise<RawAnswer> {
  const { bytes } = body;
  const file = await body.open();
  try {
    if ((await file.stat()).size !== bytes) throw new Error('the file has changed since it was collected');
    const content = bytes === 0 ? Readable.from([]) : file.createReadStream({ start: 0, end: bytes - 1 });
    return await put(url, headers, bytes, content);
  } finally {
    await file.close();
  }
}

async function put(
  url: string,
  headers: http.OutgoingHttpHeaders,
  bytes: number,
  content: Readable,
): Promise<RawAnswer> {
  const timeoutMs = FILE_TIMEOUT_MS_MIN + Math.ceil(bytes / FILE_BYTES_PER_MS_MIN);
  const request = open(url, 'PUT', AbortSignal.timeout(timeoutMs), {
    ...headers,
    'content-type': 'application/octet-stream',
    'content-length': bytes,
  });
  const answer = answerOf(request);
  // How it fails is told by the answer that does not come.
  const sent = pipeline(content, request).catch((error: Error) => void request.destroy(error));
  try {
    return await answer;
  } finally {
    // An answer that did not wait for the whole file leaves a connection that is good for nothing else.
    if (!request.writableFinished) request.destroy();
    content.destroy();
    await sent;
  }
}

interface RawAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
}

/** An answer with commands may be long; one that has no end must not fill the memory. */
const ANSWER_CHARACTERS_MAX = 64 * 1024 * 1024;

/** By node's older client: `fetch` takes more memory, and cannot tell the length of what it streams, which stores want. */
const open = (url: string, method: string, signal: AbortSignal, headers: http.OutgoingHttpHeaders) =>
  (url.startsWith('https:') ? https : http).request(url, { method, headers, signal });

function answerOf(request: http.ClientRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    request.on('error', reject);
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
        if (text.length > ANSWER_CHARACTERS_MAX) response.destroy(new Error('the answer is too long'));
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
  });
}

const isSuccess = (status: number): boolean => status >= 200 && status < 300;

function refusal(status: number, text: string): Answer {
  const code = (parse(text) as { code?: unknown } | null | undefined)?.code;
  return { kind: 'refused', status, code: typeof code === 'string' ? code : undefined };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** An aggregate of several addresses that were tried has no message of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
