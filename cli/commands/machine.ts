/** `candor vms`, `candor system`, `candor audit`, `candor health` and `candor dev`. */
import { type Command, Option } from 'commander';
import type { VmBody } from '../../core/contract/runs.ts';
import { wholeNumber } from '../arguments.ts';
import { EXIT } from '../errors.ts';
import { Output } from '../output.ts';
import { auditText, systemTable } from '../render/system.ts';
import { vmDetail, vmTable } from '../render/vms.ts';
import { type ListOptions, printList } from '../resources.ts';
import { type GlobalOptions, type Host, reported, type Session } from '../session.ts';
import { inline } from '../text.ts';
import { changing, checkedIfMatch } from './changes.ts';
import { addDoctorCommand } from './doctor.ts';
import { examples, group, pageOptions, subcommand } from './options.ts';

/** Adds `vms` to the program. */
export function addVmCommands(program: Command, host: Host): void {
  const vms = group(program, 'vms', 'the machines that host runs');
  host.serve<ListOptions>(pageOptions(subcommand(vms, 'list', 'list the VMs, newest first')), (session, _, options) =>
    printList(session, 'listVms', {}, options, (page) => vmTable(session.out.paint, page)),
  );
  host.serve(subcommand(vms, 'get <vm>', 'show a VM: its status, and who saw it when'), async (session, [id = '']) => {
    return printVm(session, await session.client.call('getVm', { path: { vmId: id } }));
  });
  const drain = subcommand(vms, 'drain <vm>', 'give it no further run; when those on it have ended, it goes').option(
    '--if-match <version>',
    'only if the VM is at this version',
  );
  examples(drain, 'candor vms drain vm_…');
  host.serve<{ readonly ifMatch?: string }>(drain, async (session, [id = ''], options) => {
    const ifMatch = checkedIfMatch(options.ifMatch);
    const vm = await changing(session, { kind: 'vm', id }, ifMatch ?? '*', () =>
      session.client.call('drainVm', { path: { vmId: id }, ifMatch }),
    );
    return printVm(session, vm);
  });
}

async function printVm({ out, json }: Session, vm: VmBody): Promise<undefined> {
  return void (await (json ? out.json(vm) : out.line(vmDetail(out.paint, vm))));
}

/** Adds `system`, `audit`, `doctor` and `health` to the program. */
export function addSystemCommands(program: Command, host: Host): void {
  host.serve(
    subcommand(program, 'system', "the server's parts, each with its own last proof of life"),
    async (session) => {
      const system = await session.client.call('getSystem');
      await (session.json ? session.out.json(system) : session.out.line(systemTable(session.out.paint, system)));
      return undefined;
    },
  );
  const audit = subcommand(program, 'audit', 'what the last self-audit found; exit code 1 where it was not clean');
  examples(audit, 'candor audit --json');
  host.serve(audit, async (session) => {
    const found = await session.client.call('getAudit');
    await (session.json ? session.out.json(found) : session.out.line(auditText(session.out.paint, found)));
    return found.status === 'not_clean' ? EXIT.notWell : EXIT.ok;
  });
  addDoctorCommand(program, host);
  const health = subcommand(program, 'health', 'whether the server answers at all, for scripts');
  examples(health, 'until candor health; do sleep 1; done');
  host.serve(health, async (session) => {
    const askedAt = performance.now();
    const answer = await session.client.call('getHealth');
    const tookMs = Math.round(performance.now() - askedAt);
    await (session.json ? session.out.json(answer) : session.out.line(`${inline(answer.status)} (${tookMs} ms)`));
    return undefined;
  });
}

interface DevOptions extends GlobalOptions {
  readonly port?: number;
  readonly keep?: true;
  readonly fleet?: 'local' | 'none';
  readonly allowPrivateWebhooks?: true;
  readonly rotateSigningKey?: true;
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
    .option('--keep', 'leave live runs to the next start when it is stopped')
    .option('--allow-private-webhooks', 'let webhooks go to http, this machine and its network, for trying them out')
    .option(
      '--rotate-signing-key',
      'sign the tokens of runners and runs with a new key; those of the old one stay good',
    )
    .addOption(
      new Option('--fleet <which>', 'none: launch no VM, so that every run fails; for tests of the API').choices([
        'local',
        'none',
      ]),
    );
  examples(dev, 'candor dev', 'candor dev --data-dir /var/lib/candor --port 7171 --keep');
  dev.action(async () => {
    const options = dev.optsWithGlobals<DevOptions>();
    const json = options.json === true;
    host.exitCode = await reported(new Output(host.environment.colour), json, async () => {
      // Everything else is a client: it should not pay for loading the server.
      const { runDev } = await import('../dev/main.ts');
      return runDev({
        dataDir: options.dataDir ?? host.environment.dataDir,
        json,
        keep: options.keep === true,
        launches: options.fleet === 'none' ? 'none' : 'here',
        allowPrivateWebhooks: options.allowPrivateWebhooks === true,
        rotateSigningKey: options.rotateSigningKey === true,
        environment: host.environment.variables,
        ...(options.port !== undefined && { port: options.port }),
      });
    });
  });
}
