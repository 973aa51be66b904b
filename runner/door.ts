/** The HTTP side of the runner's door (design.md §5.5): sends a request, and says what came of it. Never throws. */

export type Answer =
  | { readonly kind: 'ok'; readonly body: unknown }
  /** The server answered, with an error. `code` is the problem's stable code, if it named one. */
  | { readonly kind: 'refused'; readonly status: number; readonly code: string | undefined }
  /** Nothing that makes sense came back. Whether the request was applied is not known. */
  | { readonly kind: 'unreachable'; readonly reason: string };

export interface DoorRequest {
  readonly url: string;
  readonly method: 'POST' | 'PUT';
  readonly bearer: string;
  readonly body: string;
  readonly timeoutMs: number;
}

export async function send({ url, method, bearer, body, timeoutMs }: DoorRequest): Promise<Answer> {
  try {
    const response = await fetch(url, {
      method,
      headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
      body,
      signal: AbortSignal.timeout(timeoutMs),
      redirect: 'error',
    });
    const text = await response.text();
    const parsed = parse(text);
    if (response.ok) {
      if (text === '') return { kind: 'ok', body: undefined };
      return parsed === undefined
        ? { kind: 'unreachable', reason: 'the answer is not JSON' }
        : { kind: 'ok', body: parsed };
    }
    const code = (parsed as { code?: unknown } | null | undefined)?.code;
    return { kind: 'refused', status: response.status, code: typeof code === 'string' ? code : undefined };
  } catch (error) {
    return { kind: 'unreachable', reason: reasonOf(error) };
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `fetch` says only "fetch failed"; what happened is in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
