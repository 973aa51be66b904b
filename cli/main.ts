/** The `candor` command: reads the command line, runs one command, answers its exit code. */
import { Command, CommanderError } from 'commander';
import { addAgentCommands } from './commands/agents.ts';
import { addAuditLogCommand } from './commands/auditLog.ts';
import { addDeadLetterCommands } from './commands/deadLetters.ts';
import { addEventsCommand } from './commands/events.ts';
import { addKeyCommands } from './commands/keys.ts';
import { addDevCommand, addSystemCommands, addVmCommands } from './commands/machine.ts';
import { addPrincipalCommands } from './commands/principals.ts';
import { addRunCommands } from './commands/runs.ts';
import { addScheduleCommands } from './commands/schedules.ts';
import { addSecretCommands } from './commands/secrets.ts';
import { addWebhookCommands } from './commands/webhooks.ts';
import { EXIT, EXIT_CODES_HELP } from './errors.ts';
import { endQuietlyOnBrokenPipe } from './output.ts';
import { Host, VERSION } from './session.ts';

const CONNECTION_HELP = `
The server is found by CANDOR_URL and CANDOR_TOKEN, or by the endpoint.json that \`candor dev\` leaves in its data
folder (--data-dir, CANDOR_DATA_DIR or .candor). Durations are written 15m, 2h or PT15M, times 2027-01-31T09:00:00Z.
Agents, schedules and principals can be named by their id or their exact name.`;

/** @param args the command line without `node` and the script */
export async function main(args: readonly string[]): Promise<number> {
  endQuietlyOnBrokenPipe();
  const host = new Host();
  try {
    await programOf(host).parseAsync([...args], { from: 'user' });
    return host.exitCode;
  } catch (error) {
    // The parser has already said what is wrong. Help that was asked for is no error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.stderr.write(`candor: this is a bug in the command itself.\n${text}\n`);
    return EXIT.internal;
  }
}

/** Every command that there is. */
export function programOf(host: Host): Command {
  const program = new Command('candor')
    .description('Schedules background AI-agent runs, puts each on a VM, and says no more about it than it can prove.')
    .version(VERSION)
    // Options behind a command's name are the command's own; only so does everything behind -- reach it unharmed.
    .enablePositionalOptions()
    .option('--json', "print the API's JSON")
    .option('--data-dir <dir>', 'find the server by this folder')
    .exitOverride()
    .showHelpAfterError('(--help shows how it is used)')
    .addHelpText('after', `${CONNECTION_HELP}\n${EXIT_CODES_HELP}`);
  addDevCommand(program, host);
  addAgentCommands(program, host);
  addScheduleCommands(program, host);
  addRunCommands(program, host);
  addVmCommands(program, host);
  addEventsCommand(program, host);
  addPrincipalCommands(program, host);
  addKeyCommands(program, host);
  addAuditLogCommand(program, host);
  addSystemCommands(program, host);
  addSecretCommands(program, host);
  addWebhookCommands(program, host);
  addDeadLetterCommands(program, host);
  return program;
}
