/** `candor secrets …`: values that agents name and never show, kept by the server on this machine. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { Interrupted, NotResolved, UsageError } from '../errors.ts';
import { SecretFiles } from '../secretFiles.ts';
import type { Host, Session } from '../session.ts';
import { inline, table } from '../text.ts';
import { examples, group, subcommand } from './options.ts';

const DATA_DIR_HELP = 'the data folder of the server (default: CANDOR_DATA_DIR or .candor)';

/** Adds the group to the program. */
export function addSecretCommands(program: Command, host: Host): void {
  const secrets = group(program, 'secrets', 'values for environments and repositories, kept on this machine only');
  addSet(secrets, host);
  const list = subcommand(secrets, 'list', 'list the ids; values are never shown', DATA_DIR_HELP);
  host.serve(list, async (session) => {
    const { out, json } = session;
    const items = (await filesOf(session, host).list()).map((id) => ({ id }));
    if (json) return void (await out.json({ items }));
    const rows = items.map(({ id }) => [id]);
    return void (rows.length === 0 ? out.note('There are none.') : await out.line(table(out.paint, ['ID'], rows)));
  });
  const remove = subcommand(secrets, 'remove <id>', 'remove one; runs that need it no longer start', DATA_DIR_HELP);
  host.serve(remove, async (session, [id = '']) => {
    if (await filesOf(session, host).remove(id)) return void session.out.note(`Removed secret ${id}.`);
    throw new NotResolved(`There is no secret ${inline(id)} in ${path.resolve(session.dataDir)}.`, {
      remedy: 'List them: candor secrets list',
    });
  });
}

function addSet(secrets: Command, host: Host): void {
  const what = 'set a value: what standard input holds, without one line break at its end, or what is typed unseen';
  const set = subcommand(secrets, 'set <id>', what, DATA_DIR_HELP).allowExcessArguments();
  examples(
    set,
    'candor secrets set github < token.txt',
    'candor secrets set github',
    'candor agents update report --secret-env TOKEN=github',
  );
  host.serve(set, async (session, [id = '', ...others]) => {
    // A value among the arguments stands in the shell's history and in every list of processes.
    if (others.length > 0) throw new UsageError('The value is not taken from the command line.', { remedy: REMEDY });
    const files = filesOf(session, host);
    files.check(id);
    await files.write(id, process.stdin.isTTY ? await typedUnseen(session, id) : await fromStandardInput());
    const folder = path.resolve(session.dataDir);
    const strange = existsSync(path.join(folder, 'server.json')) ? '' : ' No server has been started there yet.';
    return void session.out.note(`Set secret ${id} in ${folder}.${strange}`);
  });
}

const REMEDY = 'Send it on standard input, such as candor secrets set ID < FILE, or type it when you are asked.';

/** Says so where the server that other commands speak to is likely another one than this folder's. */
function filesOf(session: Session, host: Host): SecretFiles {
  if (host.environment.url !== undefined && session.dataDir === host.environment.dataDir)
    session.out.note(
      `CANDOR_URL is set, but secrets are files of a data folder: these are those in ${path.resolve(session.dataDir)}.`,
    );
  return new SecretFiles(session.dataDir);
}

async function fromStandardInput(): Promise<string> {
  const bytes = await buffer(process.stdin);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new UsageError('The value is not text in UTF-8, which an environment variable must be.', { cause });
  }
  return text.replace(/\r?\n$/, '');
}

/** How long the rest of a paste may take to arrive behind its first line. */
const PASTE_MS = 50;

/** One line from the terminal, of which nothing is shown. */
async function typedUnseen(session: Session, id: string): Promise<string> {
  session.out.note(`The value of secret ${id} (it is not shown; Enter ends it):`);
  const unseen = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: unseen, terminal: true, historySize: 0 });
  const lines: string[] = [];
  terminal.on('line', (line) => lines.push(line));
  try {
    await new Promise<void>((resolve, reject) => {
      terminal.once('line', () => resolve());
      // Ctrl-C arrives here and not as a signal: every key is passed on.
      terminal.once('SIGINT', () => reject(new Interrupted()));
      terminal.once('close', () => reject(new UsageError('There is no value.')));
    });
    await sleep(PASTE_MS);
    const [value = ''] = lines;
    // A key of many lines that is pasted must not be cut to its first one without a word.
    if (lines.length === 1 && terminal.line === '') return value;
    throw new UsageError('The value has several lines.', {
      remedy: 'Send it from a file: candor secrets set ID < FILE',
    });
  } finally {
    terminal.close();
  }
}
