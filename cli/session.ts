/** What a command works with: the client, the output, and the end of both. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { CandorClient } from './client.ts';
import { findEndpoint } from './connection.ts';
import { type Environment, readEnvironment } from './environment.ts';
import { CliError, EXIT } from './errors.ts';
import { Output } from './output.ts';

export interface Session {
  readonly client: CandorClient;
  readonly out: Output;
  readonly json: boolean;
  /** The folder of the server on this machine, for what is done without the server. */
  readonly dataDir: string;
  /** Aborted by SIGINT. */
  readonly signal: AbortSignal;
}

/** Options that every command takes, before or after its name. */
export interface GlobalOptions {
  readonly json?: true;
  readonly dataDir?: string;
}

/** Answers the exit code, or nothing for 0. */
export type Handler<Options> = (
  session: Session,
  args: readonly string[],
  options: Options,
) => Promise<number | undefined>;

export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

/** One run of the command: what its exit code will be. */
export class Host {
  readonly environment: Environment = readEnvironment();
  exitCode: number = EXIT.ok;

  /** Makes a command of the API. */
  serve<Options>(command: Command, handler: Handler<Options>): Command {
    return command.action(async () => {
      const options = command.optsWithGlobals<GlobalOptions>();
      const out = new Output(this.environment.colour);
      const stop = interruptible();
      const client = new CandorClient({
        endpoint: () => findEndpoint(this.environment, options.dataDir),
        userAgent: `candor-cli/${VERSION} (node ${process.versions.node}; ${process.platform})`,
        signal: stop,
      });
      const session: Session = {
        client,
        out,
        json: options.json === true,
        dataDir: options.dataDir ?? this.environment.dataDir,
        signal: stop,
      };
      this.exitCode = await reported(session.out, session.json, async () =>
        handler(session, command.args, command.opts() as Options),
      );
    });
  }
}

/** Runs a command's work, says what went wrong, and answers the exit code. */
export async function reported(out: Output, json: boolean, work: () => Promise<number | undefined>): Promise<number> {
  try {
    return (await work()) ?? EXIT.ok;
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    // Whoever pressed Ctrl-C knows what happened; what goes on without them was said where it was left.
    if (error.exitCode !== EXIT.interrupted) out.error(error, json);
    return error.exitCode;
  }
}

/** A signal for the first SIGINT. A second one ends the process at once. */
function interruptible(): AbortSignal {
  const controller = new AbortController();
  process.on('SIGINT', () => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    controller.abort();
  });
  return controller.signal;
}
