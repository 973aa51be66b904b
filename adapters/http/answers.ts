/** Answers in the forms that the API has: one resource, a list, nothing. */
import { matchesIfNoneMatch } from './parse.ts';

const JSON_HEADERS = { 'Content-Type': 'application/json' } as const;

export const json = (body: object, status = 200): Response =>
  new Response(JSON.stringify(body), { status, headers: JSON_HEADERS });

export const noContent = (): Response => new Response(null, { status: 204 });

/** The version is the ETag. It counts people's changes: members that are derived (`asOf`, `overdue`) move without it. */
const etag = (version: number): string => `"${version}"`;

/** A resource as it was read; 304 where the reader has this version already. */
export function resource(request: Request, body: { readonly version: number }): Response {
  const tag = etag(body.version);
  if (matchesIfNoneMatch(request, body.version)) return new Response(null, { status: 304, headers: { ETag: tag } });
  return changed(body);
}

/** A resource after a change of it. */
export function changed(body: { readonly version: number }, status = 200): Response {
  return new Response(JSON.stringify(body), { status, headers: { ...JSON_HEADERS, ETag: etag(body.version) } });
}

/** Work that has been taken on and has no version: where its progress can be read. */
export function accepted(body: object, location: string): Response {
  const response = json(body, 202);
  response.headers.set('Location', location);
  return response;
}

/** A resource that exists now (201) or is on its way (202), with where to find it. */
export function created(body: { readonly version: number }, location: string, status: 201 | 202 = 201): Response {
  const response = changed(body, status);
  response.headers.set('Location', location);
  return response;
}
