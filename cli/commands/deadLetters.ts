/** `candor dlq …`: what could not be delivered on AWS. It speaks to AWS itself, with the credentials of whoever calls. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { wholeNumber } from '../arguments.ts';
import type { Aws, Installation } from '../dlq/aws.ts';
import { type Letter, QUEUES, type QueueName } from '../dlq/letters.ts';
import { EXIT, Interrupted, UsageError } from '../errors.ts';
import {
  depthTable,
  type Listed,
  letterBody,
  letterTable,
  outcomeBody,
  outcomeText,
  summaryText,
} from '../render/deadLetters.ts';
import type { Host, Session } from '../session.ts';
import { examples, group } from './options.ts';

const MAX_DEFAULT = 100;
const MAX = 1000;
/** Of `list`: enough to know the oldest of a queue that somebody looks after. */
const AGE_SAMPLE = 50;

const HELP = `
Queues:
  schedule         fires that EventBridge Scheduler could not hand to Lambda
  fire             fires that the function has failed on
  events           changes whose fan-out has failed; the stream keeps them for 24 hours
  execution-ended  ends of provision-vm that could not be followed up

These queues belong to the installation, not to one tenant, and are there when the API is not: so they are read with your
own AWS credentials (AWS_PROFILE, AWS_REGION), not with Candor's token. \`candor dev\` has none. See docs/dead-letters.md.`;

interface PlaceOptions {
  readonly installation?: string;
  readonly region?: string;
}

interface LookOptions extends PlaceOptions {
  readonly max: number;
}

interface RedriveCommandOptions extends LookOptions {
  readonly dryRun?: true;
  readonly discard?: true;
}

/** Adds the group to the program. */
export function addDeadLetterCommands(program: Command, host: Host): void {
  const dlq = group(program, 'dlq', 'dead letters on AWS: what could not be delivered').addHelpText('after', HELP);
  const list = onInstallation(dlq, 'list', 'how many there are in each queue, and how old the oldest is');
  examples(list, 'candor dlq list --installation candor-prod');
  host.serve<PlaceOptions>(list, (session, _, options) => listAll(session, host, options));

  const peek = onInstallation(dlq, 'peek <queue>', 'show letters, and leave them where they are');
  maxOption(peek, 'show at most so many');
  examples(peek, 'candor dlq peek fire', 'candor dlq peek events --json');
  host.serve<LookOptions>(peek, (session, [queue], options) => peekInto(session, host, queueNamed(queue), options));

  const redrive = onInstallation(dlq, 'redrive <queue>', 'do again what letters ask for; delete those that were done');
  maxOption(redrive, 'take at most so many')
    .option('--dry-run', 'say what would be done, and do nothing')
    .option('--discard', 'delete letters that can never be redriven; each is printed first, so keep the output');
  examples(
    redrive,
    'candor dlq redrive fire --dry-run',
    'candor dlq redrive fire',
    'candor dlq redrive events --max 10',
  );
  redrive.addHelpText('after', REDRIVE_HELP);
  host.serve<RedriveCommandOptions>(redrive, (session, [queue], options) =>
    redriveAll(session, host, queueNamed(queue), options),
  );
}

const REDRIVE_HELP = `
A letter is deleted only after the function has answered without an error; cut off in between, it is delivered once more,
which changes nothing. After five failures in a row it stops: remove the cause first. Exit code 1 where a letter stays.`;

const onInstallation = (parent: Command, usage: string, description: string): Command =>
  parent
    .command(usage)
    .description(description)
    .option('--installation <id>', 'which one, such as candor-prod (default: CANDOR_INSTALLATION)')
    .option('--region <region>', 'its AWS region (default: that of your AWS settings)')
    .option('--json', 'print JSON; errors too, on stderr')
    .option('--data-dir <dir>', 'not used: a data folder has no dead letters');

const maxOption = (command: Command, description: string): Command =>
  command.option('--max <n>', `${description} (1 to ${MAX})`, wholeNumber(1, MAX), MAX_DEFAULT);

function queueNamed(name: string | undefined): QueueName {
  const queue = QUEUES.find((each) => each === name);
  if (queue === undefined)
    throw new UsageError(`There is no queue ${JSON.stringify(name)}.`, {
      remedy: `Name one of: ${QUEUES.join(', ')}.`,
    });
  return queue;
}

/** @throws UsageError where none is named, which says so plainly where the server at hand is one of this machine */
function installationOf(session: Session, { environment }: Host, options: PlaceOptions): Installation {
  const id = options.installation ?? environment.installation;
  if (id !== undefined && /^[\w-]{1,60}$/.test(id)) return { id, region: options.region };
  if (id !== undefined)
    throw new UsageError(`${JSON.stringify(id)} is no name of an installation.`, {
      remedy: 'It is candor-<environment>, such as candor-prod.',
    });
  const local = environment.url === undefined && existsSync(path.join(session.dataDir, 'endpoint.json'));
  throw new UsageError(
    local
      ? 'The server here is `candor dev`, which has no dead-letter queues: what fails there stays in its table and is tried again.'
      : 'No installation is named.',
    { remedy: 'For one on AWS, add --installation candor-<environment> or set CANDOR_INSTALLATION.' },
  );
}

/** Three clients of AWS are loaded where they are needed, and not with every command. */
async function withAws<T>(
  session: Session,
  host: Host,
  options: PlaceOptions,
  work: (aws: Aws) => Promise<T>,
): Promise<T> {
  const installation = installationOf(session, host, options);
  const { onAws } = await import('../dlq/aws.ts');
  return onAws(installation, work);
}

async function listAll(session: Session, host: Host, options: PlaceOptions): Promise<undefined> {
  const { look } = await import('../dlq/look.ts');
  const listed = await withAws(session, host, options, ({ mailbox }) =>
    Promise.all(
      QUEUES.map(async (queue): Promise<Listed> => {
        const box = await mailbox(queue);
        const depth = await box.depth();
        const seen = await look(box, queue, AGE_SAMPLE);
        const oldest = seen[0];
        return { queue, depth, seen: seen.length, ...(oldest !== undefined && { oldestSentAt: oldest.sentAt }) };
      }),
    ),
  );
  const { out, json } = session;
  const now = Date.now();
  if (json) await out.json({ items: listed.map((each) => listedBody(each)), asOf: new Date(now).toISOString() });
  else await out.line(depthTable(out.paint, listed, now));
  return undefined;
}

const listedBody = ({ queue, depth, seen, oldestSentAt }: Listed) => ({
  queue,
  ...depth,
  seen,
  ...(oldestSentAt !== undefined && { oldestSentAt: new Date(oldestSentAt).toISOString() }),
});

async function peekInto(session: Session, host: Host, queue: QueueName, options: LookOptions): Promise<undefined> {
  const { look } = await import('../dlq/look.ts');
  const letters = await withAws(session, host, options, async ({ mailbox }) =>
    look(await mailbox(queue), queue, options.max),
  );
  const { out, json } = session;
  if (json) await out.json({ queue, items: letters.map(letterBody) });
  else if (letters.length === 0) out.note('There are none.');
  else await out.line(letterTable(out.paint, letters, Date.now()));
  return undefined;
}

async function redriveAll(
  session: Session,
  host: Host,
  queue: QueueName,
  options: RedriveCommandOptions,
): Promise<number | undefined> {
  const { out, json, signal } = session;
  const { redrive, plan } = await import('../dlq/redrive.ts');
  const { look } = await import('../dlq/look.ts');
  const onOutcome = (outcome: Parameters<typeof outcomeText>[1]) =>
    json ? out.jsonLine(outcomeBody(queue, outcome)) : out.line(outcomeText(out.paint, outcome));
  return withAws(session, host, options, async (aws) => {
    const mailbox = await aws.mailbox(queue);
    if (options.dryRun === true) {
      const letters = await look(mailbox, queue, options.max);
      for (const letter of letters) await onOutcome({ letter, result: plan(letter) });
      if (letters.length === 0) out.note('There are none.');
      return EXIT.ok;
    }
    // Whole, and before it is gone: this output is the only copy then.
    const discard = (letter: Letter) => out.jsonLine({ queue, result: 'discarding', ...letterBody(letter) });
    const summary = await redrive(aws.parts(mailbox), {
      queue,
      max: options.max,
      signal,
      onOutcome,
      ...(options.discard === true && { discard }),
    });
    out.note(summaryText(queue, summary));
    if (summary.stopped === 'interrupted') throw new Interrupted();
    const { failed = 0, hopeless = 0, redriven_not_deleted: left = 0 } = summary.counts;
    return failed + hopeless + left > 0 ? EXIT.lettersStay : EXIT.ok;
  });
}
