/** Options that several commands share, and the form of their help. */
import type { Command } from 'commander';
import { wholeNumber } from '../arguments.ts';

const PAGE_LIMIT_MAX = 100;

const FIND_SERVER_HELP = 'find the server by this folder (default: CANDOR_URL, CANDOR_DATA_DIR or .candor)';

/** A command with what every command has. @param dataDirHelp where the folder is not for finding the server */
export function subcommand(
  parent: Command,
  usage: string,
  description: string,
  dataDirHelp = FIND_SERVER_HELP,
): Command {
  return parent
    .command(usage)
    .description(description)
    .option('--json', "print the API's JSON; errors too, on stderr")
    .option('--data-dir <dir>', dataDirHelp);
}

/** A group of commands, such as `runs`. */
export const group = (parent: Command, name: string, description: string): Command =>
  parent.command(name).description(description).enablePositionalOptions();

/** Examples at the end of a command's help. */
export const examples = (command: Command, ...lines: readonly string[]): Command =>
  command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}`);

/** Of `--wait`. */
export const WAIT_HELP = 'wait until the run has ended; the exit code says how';

export const pageOptions = (command: Command): Command =>
  command
    .option('--limit <n>', 'items per page', wholeNumber(1, PAGE_LIMIT_MAX))
    .option('--cursor <cursor>', 'go on where a page ended')
    .option('--all', 'all pages');

export const inputOptions = (command: Command): Command =>
  command
    .option('--input <json>', 'the input, as JSON; - reads it from standard input')
    .option('--input-text <text>', 'the input, as plain text')
    .option('--input-file <file>', 'the input, as JSON in a file; - reads standard input');

export interface KeyOptions {
  readonly idempotencyKey?: string;
}

/** Of commands that make something: a script that is run again must not make it twice. */
export const keyOption = (command: Command): Command =>
  command.option('--idempotency-key <key>', 'sent again with the same key it makes nothing new, and answers the same');

export const ifMatchOption = (command: Command): Command =>
  command.option('--if-match <version>', 'the version to change, or * for any (default: the one that stands now)');
