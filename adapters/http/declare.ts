/**
 * What a route says of its answers, in the forms that the API has (`answers.ts` makes them). The document is made of it,
 * and the tests hold every answer against the document.
 */
import type * as z from 'zod';
import type { ErrorCode } from '../../core/errors.ts';
import type { Route } from './route.ts';

/** Headers that some answers have and others have not. */
export type AnswerHeader = 'ETag' | 'Location' | 'Content-Disposition';

export interface AnswerSpec {
  readonly status: 200 | 201 | 202 | 204 | 304 | 307;
  readonly description: string;
  /** Of a JSON body; absent where there is no body, or one that is no JSON. */
  readonly body?: z.ZodType;
  /** Of a body that is no JSON. */
  readonly mediaType?: string;
  readonly headers?: readonly AnswerHeader[];
  readonly possibleHeaders?: readonly AnswerHeader[];
}

const one = (description: string, body: z.ZodType): AnswerSpec => ({ status: 200, description, body });

export const answers = {
  json: (description: string, body: z.ZodType): readonly AnswerSpec[] => [one(description, body)],
  /** As it was read; 304 where the reader has this version already. */
  resource: (body: z.ZodType): readonly AnswerSpec[] => [
    { ...one('The resource.', body), headers: ['ETag'] },
    { status: 304, description: 'The reader has this version already (If-None-Match).', headers: ['ETag'] },
  ],
  changed: (body: z.ZodType, status: 200 | 202 = 200): readonly AnswerSpec[] => [
    { ...one('The resource after the change.', body), status, headers: ['ETag'] },
  ],
  created: (body: z.ZodType): readonly AnswerSpec[] => [
    { ...one('The resource, which exists now.', body), status: 201, headers: ['ETag', 'Location'] },
  ],
  /** What exists now and is shown this once. */
  secret: (body: z.ZodType): readonly AnswerSpec[] => [{ ...one('It, with its secret.', body), status: 201 }],
  /** Work that has been taken on. */
  accepted: (description: string, body: z.ZodType, headers: readonly AnswerHeader[]): readonly AnswerSpec[] => [
    { ...one(description, body), status: 202, headers },
  ],
  none: (description: string): readonly AnswerSpec[] => [{ status: 204, description }],
  /** Bytes, from here or from where they are kept. */
  bytes: (): readonly AnswerSpec[] => [
    {
      status: 200,
      description: 'The bytes.',
      mediaType: 'application/octet-stream',
      headers: ['ETag', 'Content-Disposition'],
    },
    { status: 307, description: 'The bytes are there, without the credential.', headers: ['Location'] },
  ],
  page: (mediaType: string, description: string): readonly AnswerSpec[] => [{ status: 200, description, mediaType }],
} as const;

/**
 * Every error that a route can answer: those that follow from what it takes, and those that it declares.
 * @param switchable it belongs to a part of the API that an installation may go without
 */
export function problemsOf(route: Route, switchable: boolean): readonly ErrorCode[] {
  const { access, method, path, body, ifMatch, keyed, problems } = route;
  const open = access === 'public';
  const codes: readonly (ErrorCode | false)[] = [
    // A parameter that is not known is refused by every route.
    'invalid_request',
    body !== undefined && 'malformed_json',
    body !== undefined && 'payload_too_large',
    body !== undefined && 'unsupported_media_type',
    !open && 'unauthenticated',
    !open && 'forbidden',
    (path.includes('/:') || switchable) && 'not_found',
    ifMatch !== undefined && 'version_conflict',
    (ifMatch === 'required' || ifMatch === 'for_changes') && 'precondition_required',
    ...problems,
    keyed !== 'never' && 'idempotency_key_reused',
    keyed !== 'never' && 'idempotency_in_flight',
    keyed === 'secret' && 'shown_once',
    !open && access !== 'vm' && access !== 'registration' && 'rate_limited',
    !open && 'store_unavailable',
    !open && 'try_again',
    !open && method !== 'GET' && 'contended',
    'internal_error',
  ];
  return [...new Set(codes.filter((code) => code !== false))];
}
