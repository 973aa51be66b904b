/** A VM's boot: its user data, the program that fetches what runs, the dead man, each as it really behaves here. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { bundleRunner } from '../../lib/bundle/runner.ts';
import { tarGz } from '../../lib/bundle/tar.ts';
import { environment, type Json, temporary, userDataOf, variant } from './support.ts';

const hasPython = spawnSync('python3', ['--version']).status === 0;
const fileOf = (document: Json, name: string): string =>
  document.write_files.find((file: { path: string }) => path.basename(file.path) === name).content;
const dev = () => userDataOf(environment('dev')).document;

describe('user data', () => {
  it('masks apt’s timers where there is apt, and asks no package manager for anything', () => {
    expect(dev().bootcmd[0][2]).toMatch(/command -v apt-get .* systemctl mask --now apt-daily.timer/);
    expect([dev().package_update, dev().package_upgrade]).toEqual([false, false]);
    expect(JSON.stringify(dev())).not.toMatch(/apt-get (install|update)|dnf|yum|pip |curl |wget /);
  });

  it('holds no secret and no registration key', () => {
    const { text } = userDataOf(environment('dev'));
    expect(text).not.toMatch(/AKIA|registrationKey|CANDOR_.*TOKEN|BEGIN [A-Z ]*PRIVATE KEY/);
  });

  it('says where to register, and which tag says what VM this is', () => {
    const boot = JSON.parse(fileOf(dev(), 'boot.json'));
    expect(boot).toMatchObject({ vmTag: 'candor:vm', selfDestructSeconds: 900 });
    expect(boot.apiUrl).toMatch(/^<Api\w+\.ApiEndpoint>$/);
  });

  it('names the archive of each architecture under its hash', () => {
    const boot = JSON.parse(fileOf(dev(), 'boot.json'));
    expect(Object.keys(boot.node).sort()).toEqual(['arm64', 'x86_64']);
    for (const archive of [boot.runner, boot.node.arm64, boot.node.x86_64]) {
      expect(archive.sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(archive.url).toContain(archive.sha256);
      expect(archive.signed).toBe(true);
    }
    expect(boot.runner.sha256).toBe(bundleRunner().sha256);
  });

  it('takes Node from another place where the environment names one, unsigned but checked', () => {
    const archive = { url: 'https://example.com/node.tar.gz', sha256: 'a'.repeat(64) };
    const vm = {
      images: { arm64: { amiId: 'ami-0123456789abcdef0' } },
      nodeBinary: { kind: 'url', archives: { arm64: archive } },
    };
    const { document } = userDataOf(variant({ vm: vm as never }));
    expect(JSON.parse(fileOf(document, 'boot.json')).node).toEqual({ arm64: { ...archive, signed: false } });
  });

  it('starts the dead man first, and powers off when anything goes wrong', () => {
    const boot = fileOf(dev(), 'boot');
    const order = ['candor-deadman.service', 'bin/firewall', 'fetch.py', 'candor-runner.service'];
    const places = order.map((each) => boot.search(new RegExp(`(start |\\$bin/|").*${each.replace(/^.*\//, '')}`)));
    expect([...places].sort((one, other) => one - other)).toEqual(places);
    expect(boot).toMatch(/^set -eu$/m);
    expect(boot).toMatch(/^trap end EXIT$/m);
    expect(boot).toMatch(/systemctl poweroff/);
  });

  it('runs agents as a user of their own, whose processes gain no rights', () => {
    const unit = fileOf(dev(), 'candor-runner.service');
    expect(fileOf(dev(), 'boot')).toMatch(/useradd --system .* candor-agent/);
    expect(unit).toMatch(/ExecStart=.*main\.mjs .*--agent-user candor-agent/);
    for (const line of ['NoNewPrivileges=yes', 'RestrictSUIDSGID=yes', 'LimitCORE=0', 'OOMPolicy=continue'])
      expect(unit).toContain(`${line}\n`);
    expect(unit).toMatch(/^CapabilityBoundingSet=(CAP_\w+ ?)+$/m);
    expect(unit).not.toMatch(/CAP_(SYS_ADMIN|NET_ADMIN|SYS_MODULE|SYS_BOOT|NET_RAW)/);
  });

  it('keeps work alive over a restart of its runner, and ends the machine with the runner’s own end', () => {
    const unit = fileOf(dev(), 'candor-runner.service');
    for (const line of [
      'KillMode=process',
      'Restart=on-failure',
      'SuccessAction=poweroff',
      'StartLimitAction=poweroff',
    ])
      expect(unit).toContain(`${line}\n`);
  });

  it('lets the dead man wait longer than the runner itself does', () => {
    const { document } = userDataOf(variant({ limits: { selfDestructSeconds: 600 } }));
    expect(fileOf(document, 'candor-deadman.service')).toMatch(/deadman \/run\/candor\/alive 780$/m);
    expect(JSON.parse(fileOf(document, 'boot.json')).selfDestructSeconds).toBe(600);
  });

  it('carries the egress allow-list, or none', () => {
    expect(fileOf(dev(), 'firewall.conf')).toBe("allow=''\n");
    const egressAllowList = [{ cidr: '10.0.0.0/8', ports: [443, 5432] }];
    const { document } = userDataOf(
      variant({ vm: { images: { arm64: { amiId: 'ami-0123456789abcdef0' } }, egressAllowList } }),
    );
    expect(fileOf(document, 'firewall.conf')).toBe("allow='10.0.0.0/8:443,5432'\n");
  });
});

describe('the archive of the runner', () => {
  it('is the same bytes whenever it is made, and a tar that tar can read', () => {
    const entries = [{ name: 'a/b.txt', content: Buffer.from('x'.repeat(700)) }];
    expect(tarGz(entries).equals(tarGz(entries))).toBe(true);
    const listed = execFileSync('tar', ['-tzf', bundleRunner().file], { encoding: 'utf8' });
    expect(listed.split('\n').filter(Boolean)).toEqual(['runner/main.mjs', 'runner/shim.mjs']);
  });

  it('has a runner that refuses to start without its VM’s folder', () => {
    const folder = temporary();
    execFileSync('tar', ['-xzf', bundleRunner().file, '-C', folder]);
    const { status, stderr } = spawnSync(process.execPath, [path.join(folder, 'runner/main.mjs')], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([1, expect.stringContaining('--dir')]);
  });
});

const REGION = 'eu-central-1';
const CREDENTIALS = { AccessKeyId: 'ASIAEXAMPLE', SecretAccessKey: 'secret/of+test', Token: 'session-token' };
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** The metadata service and the asset bucket in one: it refuses what is not signed as S3 wants it. */
async function world(objects: Readonly<Record<string, Buffer>>, tags: Readonly<Record<string, string>>) {
  const seen: string[] = [];
  const server = http.createServer((request, response) => {
    const url = request.url ?? '';
    const end = (status: number, body: string | Buffer = '') => response.writeHead(status).end(body);
    seen.push(`${request.method} ${url}`);
    if (url === '/latest/api/token') return end(request.method === 'PUT' ? 200 : 405, 'imds-token');
    if (url.startsWith('/latest/')) {
      if (request.headers['x-aws-ec2-metadata-token'] !== 'imds-token') return end(401);
      const answers: Record<string, string> = {
        '/latest/meta-data/placement/region': REGION,
        '/latest/meta-data/iam/security-credentials/': 'vm-role\n',
        '/latest/meta-data/iam/security-credentials/vm-role': JSON.stringify(CREDENTIALS),
        ...Object.fromEntries(
          Object.entries(tags).map(([key, value]) => [`/latest/meta-data/tags/instance/${key}`, value]),
        ),
      };
      return answers[url] === undefined ? end(404) : end(200, answers[url]);
    }
    const object = objects[url];
    if (object === undefined) return end(404);
    return end(isSigned(request) ? 200 : 403, isSigned(request) ? object : '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

/** Signature Version 4 as its documentation has it, written a second time. */
function isSigned({ headers, url }: http.IncomingMessage): boolean {
  const given = /Credential=([^,]+), SignedHeaders=([^,]+), Signature=(\w+)$/.exec(headers.authorization ?? '');
  if (given === null) return false;
  const [, credential = '', signed = '', signature = ''] = given;
  const scope = credential.split('/').slice(1);
  const canonical = [
    'GET',
    url,
    '',
    ...signed.split(';').map((name) => `${name}:${headers[name]}`),
    '',
    signed,
    headers['x-amz-content-sha256'],
  ].join('\n');
  const hash = createHash('sha256').update(canonical).digest('hex');
  const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope.join('/'), hash].join('\n');
  const start = Buffer.from(`AWS4${CREDENTIALS.SecretAccessKey}`);
  const key = scope.reduce<Buffer>((from, part) => createHmac('sha256', from).update(part).digest(), start);
  const isComplete = ['host', 'x-amz-content-sha256', 'x-amz-date', 'x-amz-security-token'].every((name) =>
    signed.split(';').includes(name),
  );
  const isFor =
    scope.slice(1).join('/') === `${REGION}/s3/aws4_request` && headers['x-amz-security-token'] === CREDENTIALS.Token;
  return isComplete && isFor && createHmac('sha256', key).update(text).digest('hex') === signature;
}

const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex');
const NODE = tarGz([
  { name: 'package/README.md', content: Buffer.from('no program') },
  { name: 'package/bin/node', content: Buffer.from('#!/bin/sh\n') },
]);
const TAGS = { 'candor:vm': 'vm_test' };

async function boot(objects: Readonly<Record<string, Buffer>>, wrongHash = false, tags: Record<string, string> = TAGS) {
  const root = temporary();
  for (const folder of ['etc/candor', 'opt/candor/bin', 'var/lib/candor/vm'])
    mkdirSync(path.join(root, folder), { recursive: true });
  const { url, seen } = await world(objects, tags);
  const runner = readFileSync(bundleRunner().file);
  const archive = (name: string, content: Buffer) => ({ url: `${url}${name}`, sha256: sha256(content), signed: true });
  const node = archive('/bucket/node', NODE);
  const settings = {
    vmTag: 'candor:vm',
    apiUrl: 'https://api.example.com',
    selfDestructSeconds: 900,
    node: { arm64: node, x86_64: node },
    runner: { ...archive('/bucket/runner.tgz', runner), ...(wrongHash && { sha256: '0'.repeat(64) }) },
  };
  writeFileSync(path.join(root, 'etc/candor/boot.json'), JSON.stringify(settings));
  const script = path.join(root, 'fetch.py');
  writeFileSync(script, fileOf(dev(), 'fetch.py'));
  const child = spawn('python3', [script], {
    env: { PATH: process.env.PATH, CANDOR_ROOT: root, CANDOR_IMDS: url, CANDOR_TRIES: '2' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { root, status, stderr, seen, in: (name: string) => path.join(root, name) };
}

describe.runIf(hasPython)('fetching', () => {
  const objects = () => ({ '/bucket/node': NODE, '/bucket/runner.tgz': readFileSync(bundleRunner().file) });

  it('brings Node and the runner, with signed requests, and writes down who this VM is, without a key', async () => {
    const booted = await boot(objects());
    expect([booted.stderr, booted.status]).toEqual(['', 0]);
    expect(statSync(booted.in('opt/candor/bin/node')).mode & 0o777).toBe(0o755);
    expect(existsSync(booted.in('opt/candor/bin/README.md'))).toBe(false);
    expect(existsSync(booted.in('opt/candor/runner/main.mjs'))).toBe(true);
    expect(existsSync(booted.in('opt/candor/runner/shim.mjs'))).toBe(true);
    expect(JSON.parse(readFileSync(booted.in('var/lib/candor/vm/runner.json'), 'utf8'))).toEqual({
      vmId: 'vm_test',
      url: 'https://api.example.com',
      key: '',
      region: REGION,
      selfDestructSeconds: 900,
    });
    expect(statSync(booted.in('var/lib/candor/vm/runner.json')).mode & 0o777).toBe(0o600);
  });

  it('tries again, then gives up, with an archive that is not the one that was deployed', async () => {
    const booted = await boot(objects(), true);
    expect(booted.status).not.toBe(0);
    expect(booted.stderr).toMatch(/has SHA-256/);
    expect(booted.seen.filter((each) => each === 'GET /bucket/runner.tgz')).toHaveLength(2);
    expect(existsSync(booted.in('opt/candor/runner'))).toBe(false);
    expect(existsSync(booted.in('var/lib/candor/vm/runner.json'))).toBe(false);
  });

  it('gives up without the tag that says which VM this is', async () => {
    const booted = await boot(objects(), false, {});
    expect(booted.status).not.toBe(0);
    expect(booted.seen.some((each) => each.includes('/bucket/'))).toBe(false);
  });
});

describe('the dead man', () => {
  async function watch(limitSeconds: number): Promise<{ child: ChildProcess; alive: string; isOff: () => boolean }> {
    const folder = temporary();
    const alive = path.join(folder, 'alive');
    const off = path.join(folder, 'off');
    writeFileSync(alive, '');
    writeFileSync(path.join(folder, 'deadman'), fileOf(dev(), 'deadman'));
    writeFileSync(path.join(folder, 'systemctl'), `#!/bin/sh\necho "$@" >>${off}\n`, { mode: 0o755 });
    const child = spawn('sh', [path.join(folder, 'deadman'), alive, String(limitSeconds), '0.2'], {
      env: { PATH: `${folder}:${process.env.PATH}` },
      stdio: 'ignore',
      detached: true,
    });
    closing.push(() => {
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    });
    return { child, alive, isOff: () => existsSync(off) };
  }

  it('powers off when nobody touches the file any more, and not as long as somebody does', async () => {
    const { alive, isOff } = await watch(3);
    for (let look = 0; look < 12; look++) {
      await sleep(500);
      // Whatever the wall clock says: only that it changes counts.
      utimesSync(alive, look, look);
      expect(isOff()).toBe(false);
    }
    await expect.poll(isOff, { timeout: 15_000 }).toBe(true);
  });
});
