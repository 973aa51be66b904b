/** `candor vms`, `candor system`, `candor health` and `candor dev`. */
import type { Command } from 'commander';
import type { VmBody } from '../../core/contract/runs.ts';
import { wholeNumber } from '../arguments.ts';
import { apiPath } from '../client.ts';
import { CliError, EXIT } from '../errors.ts';
import { Output } from '../output.ts';
import { type SystemBody, systemTable, vmDetail, vmTable } from '../render/vms.ts';
import { type ListOptions, printList } from '../resources.ts';
import { type GlobalOptions, type Host, reported } from '../session.ts';
import { examples, group, pageOptions, subcommand } from './options.ts';

/** Adds `vms` to the program. */
export function addVmCommands(program: Command, host: Host): void {
  const vms = group(program, 'vms', 'the machines that host runs');
  host.serve<ListOptions>(pageOptions(subcommand(vms, 'list', 'list the VMs, newest first')), (session, _, options) =>
    printList<VmBody>(session, apiPath('vms'), options, (page) => vmTable(session.out.paint, page)),
  );
  host.serve(subcommand(vms, 'get <vm>', 'show a VM: its status, and who saw it when'), async (session, [id = '']) => {
    const vm = await session.client.get<VmBody>(apiPath('vms', id));
    await (session.json ? session.out.json(vm) : session.out.line(vmDetail(session.out.paint, vm)));
    return undefined;
  });
}

/** Adds `system` and `health` to the program. */
export function addSystemCommands(program: Command, host: Host): void {
  host.serve(
    subcommand(program, 'system', "the server's parts, each with its own last proof of life"),
    async (session) => {
      const system = await session.client.get<SystemBody>(apiPath('system'));
      await (session.json ? session.out.json(system) : session.out.line(systemTable(session.out.paint, system)));
      return undefined;
    },
  );
  const health = subcommand(program, 'health', 'whether the server answers and its store works, for scripts');
  examples(health, 'until candor health; do sleep 1; done');
  host.serve(health, async (session) => {
    const askedAt = performance.now();
    // Answering this takes the credential, the API and the store: each of them is proven by the answer.
    const system = await session.client.get<SystemBody>(apiPath('system'));
    const tookMs = Math.round(performance.now() - askedAt);
    if (session.json) await session.out.json(system);
    else await session.out.line(`ok: the server and its store answer (${tookMs} ms)`);
    const silent = system.parts.filter((part) => part.lastProofAt === undefined).map((part) => part.name);
    if (silent.length > 0) session.out.note(`Without any proof of life so far: ${silent.join(', ')}`);
    return undefined;
  });
}

interface DevOptions extends GlobalOptions {
  readonly port?: number;
  readonly keep?: true;
}

const PORT_MAX = 65_535;

/** Adds `dev` to the program. */
export function addDevCommand(program: Command, host: Host): void {
  const dev = program
    .command('dev')
    .description('run the whole of Candor on this machine, until Ctrl-C')
    .option(
      '--port <n>',
      'listen there; 0 takes any free port (default: the one of last time)',
      wholeNumber(0, PORT_MAX),
    )
    .option('--data-dir <dir>', 'keep everything there (default: CANDOR_DATA_DIR or .candor)')
    .option('--json', 'print where it listens as one JSON object')
    .option('--keep', 'leave live runs to the next start when it is stopped');
  examples(dev, 'candor dev', 'candor dev --data-dir /var/lib/candor --port 7171 --keep');
  dev.action(async () => {
    const options = dev.optsWithGlobals<DevOptions>();
    const json = options.json === true;
    host.exitCode = await reported(new Output(host.environment.colour), json, async () => {
      // Everything else is a client: it should not pay for loading the server.
      const { runDev } = await import('../dev/main.ts');
      const args = { dataDir: options.dataDir ?? host.environment.dataDir, json, keep: options.keep === true };
      return runDev({ ...args, ...(options.port !== undefined && { port: options.port }) }).catch(asCliError);
    });
  });
}

/** What the server cannot start with comes with a remedy; it is known here by that, since the CLI knows no server code. */
function asCliError(error: unknown): never {
  if (error instanceof Error && 'remedy' in error && typeof error.remedy === 'string')
    throw new CliError('setup', EXIT.serverFailed, error.message, { remedy: error.remedy, cause: error });
  throw error;
}
