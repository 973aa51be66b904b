/**
 * What a VM does when it boots, as cloud-init's user data: no secret (anybody in the account may read it), at most 16 KiB.
 * The files are beside this one, as they are; only `boot.json` and `firewall.conf` say what differs between installations.
 */
import { readFileSync } from 'node:fs';
import type { Architecture } from '../../config/schema.ts';
import { TAGS } from '../tags.ts';

/** Before base64; EC2's limit. */
export const USER_DATA_BYTES_MAX = 16_384;

/** How much longer than the runner itself the dead man waits: the runner ends its work in good order, this does not. */
const DEADMAN_SLACK_SECONDS = 180;

export interface FetchedArchive {
  readonly url: string;
  readonly sha256: string;
  /** Whether the request is to be signed with the instance's own credentials. */
  readonly signed: boolean;
}

export interface BootOptions {
  /** Where the runner registers. */
  readonly apiUrl: string;
  readonly runner: FetchedArchive;
  readonly node: Readonly<Partial<Record<Architecture, FetchedArchive>>>;
  readonly selfDestructSeconds: number;
  readonly egressAllowList?: readonly { readonly cidr: string; readonly ports: readonly number[] }[] | undefined;
}

interface WrittenFile {
  readonly path: string;
  readonly permissions: string;
  readonly content: string;
}

/** Comments are for readers of this repository; a VM has 16 KiB. A program's first line is none. */
const withoutComments = (text: string): string =>
  text.replaceAll(/^[ \t]*#(?!!).*\n/gm, '').replaceAll(/^\s*"""[^"]*"""\n/gm, '');

function file(name: string, path: string, permissions: string, values: Readonly<Record<string, string>> = {}) {
  const text = withoutComments(readFileSync(new URL(`files/${name}`, import.meta.url), 'utf8'));
  const content = text.replaceAll(/@([A-Z_]+)@/g, (whole, key: string) => values[key] ?? whole);
  return { path, permissions, content };
}

function writtenFiles(options: BootOptions): readonly WrittenFile[] {
  const allow = (options.egressAllowList ?? []).map(({ cidr, ports }) => `${cidr}:${ports.join(',')}`);
  const boot = {
    vmTag: TAGS.vm,
    apiUrl: options.apiUrl,
    runner: options.runner,
    node: options.node,
    selfDestructSeconds: options.selfDestructSeconds,
  };
  const deadmanSeconds = String(options.selfDestructSeconds + DEADMAN_SLACK_SECONDS);
  return [
    { path: '/etc/candor/boot.json', permissions: '0644', content: JSON.stringify(boot) },
    { path: '/etc/candor/firewall.conf', permissions: '0644', content: `allow='${allow.join(' ')}'\n` },
    file('boot.sh', '/opt/candor/bin/boot', '0755'),
    file('fetch.py', '/opt/candor/bin/fetch.py', '0644'),
    file('firewall.sh', '/opt/candor/bin/firewall', '0755'),
    file('deadman.sh', '/opt/candor/bin/deadman', '0755'),
    file('candor-deadman.service', '/etc/systemd/system/candor-deadman.service', '0644', {
      DEADMAN_SECONDS: deadmanSeconds,
    }),
    file('candor-runner.service', '/etc/systemd/system/candor-runner.service', '0644'),
  ];
}

/** Their timers hold apt's lock, and a machine's processor and disk, just when a VM wants to start. */
const MASK_APT =
  'command -v apt-get >/dev/null || exit 0; systemctl mask --now apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service unattended-upgrades.service || true';

/** The document below `#cloud-config`: JSON, which is YAML as well. */
export const cloudConfig = (options: BootOptions) => ({
  package_update: false,
  package_upgrade: false,
  ssh_pwauth: false,
  bootcmd: [['sh', '-c', MASK_APT]],
  write_files: writtenFiles(options),
  runcmd: [['/opt/candor/bin/boot']],
});

function checked(text: string): string {
  if (Buffer.byteLength(text) > USER_DATA_BYTES_MAX)
    throw new Error(
      `the user data of VMs has ${Buffer.byteLength(text)} bytes, EC2 takes ${USER_DATA_BYTES_MAX}: shorten vm.egressAllowList`,
    );
  return text;
}

/** @param toJson writes JSON in which values that are known only at deploy may stand */
export const userDataText = (options: BootOptions, toJson: (document: unknown) => string): string =>
  checked(`#cloud-config\n${toJson(cloudConfig(options))}\n`);
