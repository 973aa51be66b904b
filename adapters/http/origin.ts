/** Where a request comes from, by what carried it here: never by a header that anybody can write. */
import type { Context } from 'hono';
import type { Origin } from '../../core/auditLog/record.ts';

/** What `hono/aws-lambda` and `@hono/node-server` hand on. */
interface Carrier {
  readonly requestContext?: { readonly http?: { readonly sourceIp?: string } };
  readonly incoming?: { readonly socket?: { readonly remoteAddress?: string } };
}

const USER_AGENT_MAX = 200;

export function originOf(context: Context): Origin {
  const carrier = context.env as Carrier | undefined;
  const ip = carrier?.requestContext?.http?.sourceIp ?? carrier?.incoming?.socket?.remoteAddress;
  // What it says of itself, which is why nothing is decided by it.
  const userAgent = context.req
    .header('user-agent')
    ?.replaceAll(/[^\x20-\x7e]/g, '?')
    .slice(0, USER_AGENT_MAX);
  return { ...(ip !== undefined && { ip }), ...(userAgent !== undefined && { userAgent }) };
}
