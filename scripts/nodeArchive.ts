/**
 * `node scripts/nodeArchive.ts ARCHITECTURE`: fetches the Node archive for VMs from npm, checks it, prints its path. The CDK
 * runs it when it publishes the asset, so that synthesis needs no network, and only when the asset is not there yet.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { ARCHITECTURES } from '../config/schema.ts';
import { NODE_ARCHIVES, NODE_VERSION } from '../lib/bundle/node.ts';
import { ROOT } from '../lib/bundle/paths.ts';

const architecture = ARCHITECTURES.find((known) => known === process.argv[2]);
if (architecture === undefined) throw new Error(`usage: node scripts/nodeArchive.ts ${ARCHITECTURES.join('|')}`);
const pinned = NODE_ARCHIVES[architecture];
const folder = path.join(ROOT, '.tools', 'node');
const file = path.join(folder, `${pinned.package}-${NODE_VERSION}.tgz`);

function check(candidate: string): void {
  const sha256 = createHash('sha256').update(readFileSync(candidate)).digest('hex');
  if (sha256 !== pinned.sha256)
    throw new Error(`${candidate} has SHA-256 ${sha256}, not ${pinned.sha256}: it is not the pinned archive`);
}

if (!existsSync(file)) {
  const partial = path.join(folder, `partial-${process.pid}`);
  mkdirSync(partial, { recursive: true });
  const wanted = `${pinned.package}@${NODE_VERSION}`;
  execFileSync('npm', ['pack', wanted, '--silent', '--pack-destination', partial], { stdio: ['ignore', 'ignore', 2] });
  const packed = path.join(partial, path.basename(file));
  check(packed);
  renameSync(packed, file);
}
check(file);
process.stdout.write(`${file}\n`);
