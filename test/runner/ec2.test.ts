/** The runner as it is on an EC2 instance, before a metadata service that is played by the documented rules. */
import { createHash, createHmac } from 'node:crypto';
import fs from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sh, Vm, waitFor } from './harness.ts';

const CREDENTIALS = { AccessKeyId: 'ASIAEXAMPLE', SecretAccessKey: 'a secret/key+1', Token: 'a session token' };
const REGION = 'eu-central-1';

/** Version 2 of the instance metadata service: nothing is answered without a session token that was asked for by PUT. */
class MetadataService {
  readonly pages = new Map<string, string>();
  readonly refused: string[] = [];
  readonly #server: Server = createServer((request, response) => {
    const { method, url = '' } = request;
    const answer = (status: number, text = '') => response.writeHead(status).end(text);
    if (method === 'PUT' && url === '/latest/api/token') {
      const seconds = Number(request.headers['x-aws-ec2-metadata-token-ttl-seconds']);
      return answer(seconds >= 1 && seconds <= 21_600 ? 200 : 400, 'the-session');
    }
    if (request.headers['x-aws-ec2-metadata-token'] !== 'the-session') {
      this.refused.push(url);
      return answer(401);
    }
    const page = this.pages.get(url.replace('/latest/meta-data/', ''));
    return answer(page === undefined ? 404 : 200, page);
  });

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const hash = (text: string) => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();

/** Signature Version 4 as AWS documents it ("Create a signed AWS API request"), computed anew from what has arrived. */
function isSigned(request: IncomingMessage, body: string): boolean {
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+), Signature=(\w+)$/.exec(
      request.headers.authorization ?? '',
    );
  if (match === null) return false;
  const [, keyId, day = '', region = '', service = '', names = '', signature] = match;
  const time = String(request.headers['x-amz-date']);
  if (keyId !== CREDENTIALS.AccessKeyId || region !== REGION || service !== 'execute-api' || !time.startsWith(day))
    return false;
  if (
    request.headers['x-amz-security-token'] !== CREDENTIALS.Token ||
    !names.split(';').includes('x-amz-security-token')
  )
    return false;
  const headers = names
    .split(';')
    .map((name) => `${name}:${String(request.headers[name]).trim()}\n`)
    .join('');
  const canonical = [request.method, request.url, '', headers, names, hash(body)].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', time, `${day}/${region}/${service}/aws4_request`, hash(canonical)].join('\n');
  const key = [region, service, 'aws4_request'].reduce(hmac, hmac(`AWS4${CREDENTIALS.SecretAccessKey}`, day));
  return hmac(key, toSign).toString('hex') === signature;
}

let vm: Vm;
let metadata: MetadataService;
let endpoint: string;
beforeEach(async () => {
  vm = await Vm.create();
  vm.identify({ key: '', region: REGION });
  vm.server.provesItself = isSigned;
  metadata = new MetadataService();
  endpoint = await metadata.listen();
  metadata.pages.set('iam/security-credentials/', 'candor-vm\n');
  metadata.pages.set('iam/security-credentials/candor-vm', JSON.stringify(CREDENTIALS));
});
afterEach(async () => {
  const { problems } = vm.server;
  await vm.dispose();
  await metadata.close();
  expect(problems).toEqual([]);
  expect(metadata.refused).toEqual([]);
});

const start = () => vm.startRunner({ args: ['--alive-file', vm.file('alive')], env: { CANDOR_IMDS: endpoint } });

describe('a runner on an EC2 instance', () => {
  it('registers with a signature of its instance profile, and works', async () => {
    start();
    vm.run('run_a', sh('echo done > $CANDOR_OUTPUT; env > $HOME/env'));
    expect(await vm.reached('run_a', 'ended')).toMatchObject({ exitCode: 0, output: 'done\n' });
    expect(vm.server.registrations[0]).toMatchObject({ vmId: vm.vmId });
    expect(fs.existsSync(vm.file('alive'))).toBe(true);
    expect(vm.read('env')).not.toContain(CREDENTIALS.SecretAccessKey);
    expect(vm.stderr).not.toContain(CREDENTIALS.SecretAccessKey);
    const left = fs.readdirSync(vm.dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    for (const file of left)
      expect(fs.readFileSync(path.join(file.parentPath, file.name), 'latin1')).not.toContain(CREDENTIALS.Token);
  });

  it('goes on trying while the metadata service gives no credentials', async () => {
    metadata.pages.delete('iam/security-credentials/');
    start();
    await waitFor('a refusal', () => vm.stderr.includes('could not be signed'));
    metadata.pages.set('iam/security-credentials/', 'candor-vm');
    await waitFor('a heartbeat', () => vm.server.heartbeats.length > 0);
  });

  it('ends well once it has no lease any more, which ends its machine, and its work is gone by then', async () => {
    vm.identify({ selfDestructSeconds: 1 });
    vm.server.leaseMs = 500;
    const runner = start();
    vm.run('run_a', sh('sleep 300'));
    await vm.reached('run_a', 'running');
    await vm.server.close();
    expect(await vm.exitOf(runner)).toBe(0);
    expect(vm.processesOf('run_a')).toEqual([]);
  });
});
