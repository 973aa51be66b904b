/**
 * `npm run test:fuzz`: schemathesis asks `candor dev` for everything that the OpenAPI document tells, rightly and wrongly, one
 * by one and along the document's links, of resources that exist and of others. No answer may be a server error, or other than
 * documented. The server launches no VM (`--fleet none`), so no command that the fuzzer makes up ever runs; it reaches nothing
 * but this machine; it holds no request back.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { installPythonTool, ToolSetupError } from '../support/pythonTool.ts';
import { REFUSED } from './refused.ts';
import { listenForWebhooks, type Seeded, seed } from './seed.ts';
import { settingsOf } from './settings.ts';

const HERE = import.meta.dirname;
const CANDOR = fileURLToPath(new URL('../../cli/candor.mjs', import.meta.url));
const READY_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 30_000;
const SCENARIOS_PER_EXAMPLE = 5;
/** What guards main must not be red by chance. */
const SHORT_SEED = '1';
const CONFIG = { maxWaitSeconds: 0.05, maxRequestsPerMinute: 0 };

const HELP = `npm run test:fuzz -- [--short] [--examples N] [--seed N]
  --short       fewer requests, and the same ones each time: for every push
  --examples N  requests per operation and kind (default: 20; with --short: 5)
  --seed N      play these requests again (default: others each time; with --short: always the same)
`;

const say = (line: string) => process.stdout.write(`${line}\n`);

interface Server {
  readonly url: string;
  readonly token: string;
  readonly child: ChildProcess;
}

async function startServer(dataDir: string): Promise<Server> {
  const args = ['dev', '--data-dir', dataDir, '--fleet', 'none', '--allow-private-webhooks', '--json'];
  const child = spawn(process.execPath, [CANDOR, ...args], {
    stdio: ['ignore', 'pipe', fs.openSync(path.join(dataDir, 'server.log'), 'w')],
    env: {
      ...process.env,
      NODE_OPTIONS: `--import ${pathToFileURL(path.join(HERE, 'loopbackOnly.ts'))}`,
      CANDOR_CONFIG: JSON.stringify(CONFIG),
      CANDOR_FEATURES_SCHEDULES: 'on',
    },
  });
  const line = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('candor dev was not ready in time')), READY_LIMIT_MS);
    child.stdout?.once('data', (data: Buffer) => {
      clearTimeout(timer);
      resolve(data.toString());
    });
    child.once('exit', (code) => reject(new Error(`candor dev ended with ${code}`)));
  });
  return { ...(JSON.parse(line) as { url: string; token: string }), child };
}

async function stopServer({ child }: Server): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  await ended;
  clearTimeout(timer);
}

interface Settings {
  readonly short: boolean;
  readonly examples: number;
  readonly seed: string;
}

function settings(): Settings {
  const { values } = parseArgs({
    options: {
      short: { type: 'boolean', default: false },
      examples: { type: 'string' },
      seed: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  const { short } = values;
  const seed = values.seed ?? (short ? SHORT_SEED : String(Math.floor(Math.random() * 2 ** 31)));
  return { short, examples: Number(values.examples ?? (short ? 5 : 20)), seed };
}

/** Answers the exit code of schemathesis: 0 where no check has failed. */
function fuzz(
  python: string,
  server: Server,
  seeded: Seeded,
  folder: string,
  { short, examples, seed }: Settings,
): Promise<number> {
  const kept = fs.readFileSync(path.join(HERE, 'schemathesis.toml'), 'utf8');
  const config = path.join(folder, 'schemathesis.toml');
  fs.writeFileSync(config, settingsOf(kept, seeded, examples * SCENARIOS_PER_EXAMPLE));
  const args = [
    ...['-m', 'schemathesis.cli', '--config-file', config],
    ...['run', `${server.url}/v1/openapi.json`, '--header', `Authorization: Bearer ${server.token}`],
    ...['--checks', 'all', '--phases', 'examples,coverage,fuzzing,stateful', '--continue-on-failure', '--no-color'],
    ...['--max-examples', String(examples), '--seed', seed, '--workers', '2'],
    ...['--generation-database', 'none', '--report', 'json', '--report-json-path', path.join(folder, 'report.json')],
    ...(short ? ['--no-shrink'] : []),
  ];
  return new Promise((resolve) => {
    const child = spawn(python, args, { cwd: folder, stdio: 'inherit' });
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

const linesOf = (folder: string, pattern: RegExp): readonly string[] =>
  fs
    .readFileSync(path.join(folder, 'server.log'), 'utf8')
    .split('\n')
    .filter((line) => pattern.test(line));

async function main(): Promise<number> {
  const chosen = settings();
  const installed = await installPythonTool('schemathesis', path.join(HERE, 'requirements.txt'), say);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'candor-fuzz-'));
  const endpoint = await listenForWebhooks();
  const server = await startServer(folder);
  try {
    say(`schemathesis ${installed.version}, seed ${chosen.seed}, ${chosen.examples} examples, ${server.url}`);
    const code = await fuzz(installed.python, server, await seed(server, endpoint.url), folder, chosen);
    // What has gone wrong on the server's side, by its own account.
    const faults = linesOf(folder, /internal_error|uncaught|unhandled/i);
    for (const line of faults.slice(0, 20)) say(`the server says: ${line}`);
    const alive = server.child.exitCode === null;
    say(`webhooks taken here: ${endpoint.taken()}; not let out: ${linesOf(folder, new RegExp(REFUSED)).length}`);
    say(`server errors in its log: ${faults.length}; server ${alive ? 'still answers' : 'HAS ENDED'}`);
    return code === 0 && faults.length === 0 && alive ? 0 : 1;
  } finally {
    await stopServer(server);
    endpoint.close();
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  say(error instanceof ToolSetupError ? error.message : String(error instanceof Error ? error.stack : error));
  process.exitCode = error instanceof ToolSetupError ? 2 : 1;
}
