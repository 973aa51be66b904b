/**
 * Loaded into the server that is fuzzed (`node --import`): no name is looked up and no connection leaves this machine, whatever
 * URL the fuzzer makes up for a webhook. Each refusal is a line on standard error.
 */
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import { REFUSED } from './refused.ts';

const isLoopback = (host: string): boolean => host === 'localhost' || /^127\./.test(host) || host === '::1';

function refusal(host: string): NodeJS.ErrnoException {
  process.stderr.write(`${REFUSED}\n`);
  return Object.assign(new Error(`${host} is not on this machine`), { code: 'ENOTFOUND' });
}

const lookup = dns.promises.lookup;
dns.promises.lookup = ((host: string, options: dns.LookupOptions) =>
  isLoopback(host) || net.isIP(host) !== 0
    ? lookup(host, options)
    : Promise.reject(refusal(host))) as typeof dns.promises.lookup;

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (this: net.Socket, ...args: readonly unknown[]) {
  // Node's own callers hand over what they have read of their arguments already, as one list.
  const [first] = (Array.isArray(args[0]) ? args[0] : args) as readonly [net.NetConnectOpts | undefined];
  const host = typeof first === 'object' && 'host' in first ? (first.host ?? 'localhost') : undefined;
  if (host !== undefined && !isLoopback(host)) return this.destroy(refusal(host));
  return Reflect.apply(connect, this, args) as net.Socket;
} as typeof connect;

syncBuiltinESMExports();
