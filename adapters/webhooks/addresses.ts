/**
 * Where webhooks may go: to addresses that the whole internet can reach, and to no others. What is allowed is named, not what
 * is forbidden, so that a range that nobody thought of is refused. IPv6 forms that carry an IPv4 address (mapped, compatible,
 * NAT64, 6to4, Teredo) are refused whole: they lead wherever that one does.
 */
import ipaddr from 'ipaddr.js';

/** All of IPv6 that is given out to anybody so far (IANA: Global Unicast). */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');

/** Why nothing is sent to an address; undefined where it may be. */
export function addressRefusal(address: string): string | undefined {
  if (!ipaddr.isValid(address)) return `${address} is no address`;
  const parsed = ipaddr.parse(address);
  const range = parsed.range();
  if (range !== 'unicast') return `${address} is not a public address (${range})`;
  if (parsed instanceof ipaddr.IPv6 && !parsed.match(GLOBAL_UNICAST)) return `${address} is not a public address`;
  return undefined;
}

/** Names that stand for this machine or its neighbours by definition (RFC 6761, RFC 6762). */
const LOCAL_NAMES = /(^|\.)(localhost|local|internal|home\.arpa)\.?$/i;

/** The host of a URL as an address, where it is one: the parser of URLs has read decimal, octal and hex forms already. */
export const literalOf = ({ hostname }: URL): string | undefined => {
  const host = hostname.replace(/^\[|\]$/g, '');
  return ipaddr.isValid(host) ? host : undefined;
};

/** What the URL alone says. @param allowPrivate also `http`, and addresses that only this machine or its network has */
export function urlRefusal(text: string, { allowPrivate }: { readonly allowPrivate: boolean }): string | undefined {
  if (!URL.canParse(text)) return 'must be an absolute URL, such as https://example.com/hooks';
  const url = new URL(text);
  const schemes = allowPrivate ? ['https:', 'http:'] : ['https:'];
  if (!schemes.includes(url.protocol)) return `must begin with ${schemes.map((each) => `${each}//`).join(' or ')}`;
  if (url.username !== '' || url.password !== '')
    return 'must hold no user name or password: deliveries are signed, which proves more';
  if (url.hash !== '') return 'must have no fragment (#): it would never be sent';
  if (allowPrivate) return undefined;
  if (LOCAL_NAMES.test(url.hostname)) return `must name a host that the whole internet can reach, not ${url.hostname}`;
  const literal = literalOf(url);
  const refusal = literal === undefined ? undefined : addressRefusal(literal);
  return refusal === undefined ? undefined : `must name a host that the whole internet can reach: ${refusal}`;
}
