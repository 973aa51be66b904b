/** `npm run test:aws -- [--full]`: deploys Candor with the CDK to an emulator of AWS, and drives it through its API. */
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Cdk, INSTALLATION } from './cdk.ts';
import { EmulatorSetupError, installEmulator } from './emulator/install.ts';
import { functionLogs } from './emulator/logs.ts';
import { type Emulator, freePort, startEmulator } from './emulator/start.ts';
import { Ec2Host } from './host/host.ts';
import { AwsProxy } from './proxy/proxy.ts';
import { type Outcome, playAll, type Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios/index.ts';
import { reachableUrl, World } from './world.ts';

const HELP = `usage: npm run test:aws -- [options]

  --full        every scenario; without it those of the short run
  --only TEXT   scenarios whose names contain this; may be given more than once
  --list        names the scenarios, those of the short run with a star
  --keep        leaves logs and state of the emulator behind, and says where; a failure does so anyway
  --help        this

Exits 0 if all is well, 1 with findings, 2 if it was called wrongly or the machine lacks something.`;

const say = (line: string) => process.stdout.write(`${line}\n`);

interface Arguments {
  readonly scenarios: readonly Scenario[];
  readonly list: boolean;
  readonly keep: boolean;
}

function readArguments(): Arguments | undefined {
  const flag = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({
    options: { full: flag, list: flag, keep: flag, help: flag, only: { type: 'string', multiple: true } },
  });
  if (values.help) return undefined;
  const { only, full, list, keep } = values;
  const chosen = (scenario: Scenario) =>
    only === undefined ? full || list || scenario.smoke === true : only.some((text) => scenario.name.includes(text));
  return { scenarios: SCENARIOS.filter(chosen), list, keep };
}

/** Undone in the opposite order, whatever happens. */
const undo: { readonly what: string; readonly action: () => unknown }[] = [];
let interrupted = false;

async function cleanUp(): Promise<boolean> {
  let clean = true;
  for (const { what, action } of undo.splice(0).reverse()) {
    try {
      await action();
    } catch (error) {
      clean = false;
      say(`could not ${what}: ${String(error)}`);
    }
  }
  return clean;
}

async function emulated(folder: string): Promise<{ readonly emulator: Emulator; readonly proxy: AwsProxy }> {
  const installed = await installEmulator(say);
  const port = await freePort();
  const proxy = new AwsProxy(`http://127.0.0.1:${port}`);
  await proxy.listen();
  undo.push({ what: 'close the proxy', action: () => proxy.close() });
  const lambdaEndpoints = proxy.environment;
  const emulator = await startEmulator(installed, { folder: path.join(folder, 'emulator'), port, lambdaEndpoints });
  undo.push({ what: 'stop the emulator', action: () => emulator.stop() });
  say(`ministack ${emulator.version} answers on port ${port}`);
  return { emulator, proxy };
}

async function play(folder: string, scenarios: readonly Scenario[]): Promise<readonly Outcome[]> {
  const { emulator, proxy } = await emulated(folder);
  const cdk = new Cdk(emulator, folder);
  undo.push({ what: 'end the CDK', action: () => cdk.abort() });
  say('cdk bootstrap');
  await cdk.bootstrap();
  say('cdk deploy --all -c env=emulator');
  const outputs = await cdk.deploy();
  const host = new Ec2Host({
    emulatorUrl: emulator.url,
    proxy,
    folder: path.join(folder, 'instances'),
    installation: INSTALLATION,
    reachable: (apiUrl) => reachableUrl(emulator.url, apiUrl),
    problem: (text) => say(`         ${text}`),
  });
  host.start();
  undo.push({ what: 'end the machines', action: () => host.close() });
  const world = new World({ emulator, proxy, host, cdk, outputs, folder: path.join(folder, 'work') });
  undo.push({ what: 'close the clients', action: () => world.close() });
  await world.signIn();
  const outcomes = await playAll(world, scenarios, say, () => interrupted);
  const failed = outcomes.some(({ error }) => error !== undefined);
  if (failed) await keepEvidence(folder, emulator, host);
  say('cdk destroy --all');
  await host.close();
  await cdk.destroy();
  return outcomes;
}

async function keepEvidence(folder: string, emulator: Emulator, host: Ec2Host): Promise<void> {
  fs.writeFileSync(path.join(folder, 'functions.log'), await functionLogs(emulator.url));
  const machines = host
    .instances()
    .map(({ instanceId, vmId, terminated, machine }) =>
      [`## ${instanceId} ${vmId} terminated: ${terminated}`, machine?.log() ?? 'never booted'].join('\n'),
    );
  fs.writeFileSync(path.join(folder, 'machines.log'), machines.join('\n\n'));
}

function summary(outcomes: readonly Outcome[]): void {
  const failed = outcomes.filter(({ error }) => error !== undefined);
  say(`\n${outcomes.length - failed.length} of ${outcomes.length} scenarios went as they should`);
  for (const { name } of failed) say(`  FAILED ${name}`);
}

async function main(): Promise<number> {
  let args: Arguments | undefined;
  try {
    args = readArguments();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${HELP}\n`);
    return 2;
  }
  if (args === undefined || args.list) {
    say(args === undefined ? HELP : args.scenarios.map(({ name, smoke }) => `${smoke ? '*' : ' '} ${name}`).join('\n'));
    return 0;
  }
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(tmpdir(), 'candor-aws-')));
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      interrupted = true;
      say('interrupted: ending all that was started');
      void cleanUp().finally(() => process.exit(130));
    });
  }
  let code = 1;
  try {
    const outcomes = await play(folder, args.scenarios);
    summary(outcomes);
    const counted = outcomes.map(({ name, seconds, calls }) => ({ name, seconds, calls }));
    fs.writeFileSync(path.join(folder, 'calls.json'), JSON.stringify(counted, null, 2));
    code = outcomes.every(({ error }) => error === undefined) ? 0 : 1;
  } catch (error) {
    say(error instanceof EmulatorSetupError ? error.message : String(error instanceof Error ? error.stack : error));
    code = error instanceof EmulatorSetupError ? 2 : 1;
  }
  if (!(await cleanUp())) code = Math.max(code, 1);
  if (code === 0 && !args.keep) fs.rmSync(folder, { recursive: true, force: true });
  else say(`logs and state: ${folder}`);
  return code;
}

process.exitCode = await main();
