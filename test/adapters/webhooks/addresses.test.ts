/** Where webhooks may go, and where they may not, however it is written. */
import { describe, expect, test } from 'vitest';
import { addressRefusal, urlRefusal } from '../../../adapters/webhooks/addresses.ts';

const PUBLIC = [
  '1.1.1.1',
  '93.184.215.14',
  '192.167.255.255',
  '172.15.0.1',
  '172.32.0.1',
  '2606:4700::1111',
  '2a00:1450::1',
];

/** Address, and what it is. */
const REFUSED = [
  ['0.0.0.0', 'this network'],
  ['0.1.2.3', 'this network'],
  ['10.0.0.1', 'private'],
  ['10.255.255.255', 'private'],
  ['100.64.0.1', 'carrier-grade NAT'],
  ['100.127.255.255', 'carrier-grade NAT'],
  ['127.0.0.1', 'loopback'],
  ['127.255.255.254', 'loopback'],
  ['169.254.169.254', 'link-local: instance metadata'],
  ['169.254.170.2', 'link-local: container credentials'],
  ['172.16.0.1', 'private'],
  ['172.31.255.255', 'private'],
  ['192.0.0.1', 'protocol assignments'],
  ['192.0.2.1', 'documentation'],
  ['192.88.99.1', '6to4 relay'],
  ['192.168.0.1', 'private'],
  ['198.18.0.1', 'benchmarking'],
  ['198.51.100.1', 'documentation'],
  ['203.0.113.1', 'documentation'],
  ['224.0.0.1', 'multicast'],
  ['239.255.255.255', 'multicast'],
  ['240.0.0.1', 'reserved'],
  ['255.255.255.255', 'broadcast'],
  ['::', 'unspecified'],
  ['::1', 'loopback'],
  ['::127.0.0.1', 'IPv4-compatible'],
  ['::8.8.8.8', 'IPv4-compatible'],
  ['::ffff:127.0.0.1', 'IPv4-mapped'],
  ['::ffff:8.8.8.8', 'IPv4-mapped'],
  ['::ffff:0:10.0.0.1', 'IPv4-translated'],
  ['64:ff9b::10.0.0.1', 'NAT64'],
  ['64:ff9b:1::10.0.0.1', 'NAT64, local use'],
  ['100::1', 'discard'],
  ['2001::1', 'Teredo'],
  ['2001:db8::1', 'documentation'],
  ['2002:7f00:1::', '6to4 of loopback'],
  ['3fff::1', 'documentation'],
  ['5f00::1', 'segment routing'],
  ['4000::1', 'given to nobody'],
  ['fc00::1', 'unique local'],
  ['fd00:ec2::254', 'unique local: instance metadata'],
  ['fe80::1', 'link-local'],
  ['fec0::1', 'site-local'],
  ['ff02::1', 'multicast'],
] as const;

test.each(PUBLIC)('%s is public', (address) => {
  expect(addressRefusal(address)).toBeUndefined();
});

test.each(REFUSED)('%s is not (%s)', (address) => {
  expect(addressRefusal(address)).toContain('not a public address');
  const host = address.includes(':') ? `[${address}]` : address;
  expect(urlRefusal(`https://${host}/hook`, { allowPrivate: false })).toBeDefined();
});

describe('a URL', () => {
  test.each([
    'https://example.com/hook',
    'https://example.com:8443/a?b=c',
    'https://xn--bcher-kva.example/',
    'https://1.1.1.1/',
    'https://[2606:4700::1111]/',
  ])('%s may be tried', (url) => {
    expect(urlRefusal(url, { allowPrivate: false })).toBeUndefined();
  });

  test.each([
    ['http://example.com/', 'must begin with https'],
    ['ftp://example.com/', 'must begin with https'],
    ['file:///etc/passwd', 'must begin with https'],
    ['gopher://example.com/', 'must begin with https'],
    ['example.com/hook', 'must be an absolute URL'],
    ['https://user@example.com/', 'user name or password'],
    ['https://user:password@example.com/', 'user name or password'],
    ['https://example.com/#part', 'fragment'],
    ['https://localhost/', 'localhost'],
    ['https://LOCALHOST./', 'localhost'],
    ['https://a.localhost/', 'localhost'],
    ['https://printer.local/', 'printer.local'],
    ['https://metadata.google.internal/', 'internal'],
    // Loopback and metadata, in forms that some resolvers read.
    ['https://2130706433/', '127.0.0.1'],
    ['https://0x7f000001/', '127.0.0.1'],
    ['https://0177.0.0.1/', '127.0.0.1'],
    ['https://0x7f.1/', '127.0.0.1'],
    ['https://127.1/', '127.0.0.1'],
    ['https://0/', '0.0.0.0'],
    ['https://2852039166/', '169.254.169.254'],
    ['https://0251.0376.0251.0376/', '169.254.169.254'],
    ['https://%31%32%37.0.0.1/', '127.0.0.1'],
    ['https://１２７.0.0.1/', '127.0.0.1'],
    ['https://127。0。0。1/', '127.0.0.1'],
    ['https://[0:0:0:0:0:ffff:7f00:1]/', 'ipv4Mapped'],
    ['https://[::ffff:169.254.169.254]/', 'ipv4Mapped'],
  ])('%s is refused', (url, said) => {
    expect(urlRefusal(url, { allowPrivate: false })).toContain(said);
  });

  test('of one’s own machine is taken where that was asked for, and then too only over http', () => {
    for (const url of ['http://127.0.0.1:8080/', 'http://localhost/', 'https://10.0.0.1/'])
      expect(urlRefusal(url, { allowPrivate: true })).toBeUndefined();
    expect(urlRefusal('file:///etc/passwd', { allowPrivate: true })).toBeDefined();
    expect(urlRefusal('http://a:b@localhost/', { allowPrivate: true })).toBeDefined();
  });
});
