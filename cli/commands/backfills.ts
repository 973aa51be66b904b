/** `candor schedules backfill…`: runs for past occurrences, how far they are, and their end. */
import { type Command, Option } from 'commander';
import type { BackfillBody } from '../../core/contract/schedules.ts';
import { backfillDetail } from '../render/answers.ts';
import { scheduleId } from '../resources.ts';
import type { Host, Session } from '../session.ts';
import { changing, checkedIfMatch } from './changes.ts';
import { examples, type KeyOptions, keyOption, subcommand } from './options.ts';

interface BackfillOptions {
  readonly from?: string;
  readonly to?: string;
  readonly overlap?: 'buffer_all' | 'allow_all';
  readonly again?: true;
  readonly ifMatch?: string;
}

/** Adds the commands to the group. */
export function addBackfills(schedules: Command, host: Host): void {
  addStart(schedules, host);
  const status = subcommand(schedules, 'backfill-status <schedule> <backfill>', 'how far a backfill is');
  host.serve(status, async (session, [reference = '', backfill = '']) =>
    printBackfill(session, await session.client.call('getBackfill', await named(session, reference, backfill))),
  );
  const cancel = subcommand(
    schedules,
    'backfill-cancel <schedule> <backfill>',
    'start no further run of a backfill; those that it has started go on',
  );
  host.serve(cancel, async (session, [reference = '', backfill = '']) =>
    printBackfill(
      session,
      await session.client.call('cancelBackfill', { ...(await named(session, reference, backfill)), body: {} }),
    ),
  );
}

function addStart(schedules: Command, host: Host): void {
  const backfill = subcommand(schedules, 'backfill <schedule>', 'run the past occurrences that have had no run')
    .requiredOption('--from <time>', 'the first occurrence')
    .requiredOption('--to <time>', 'the last occurrence')
    .addOption(
      new Option('--overlap <policy>', 'one after the other, or side by side (default: buffer_all)').choices([
        'buffer_all',
        'allow_all',
      ]),
    )
    .option('--again', 'also those that have had a run')
    .option('--if-match <version>', 'only if the schedule is at this version');
  examples(backfill, 'candor schedules backfill daily --from 2027-01-01T00:00:00Z --to 2027-01-07T23:59:59Z');
  host.serve<BackfillOptions & KeyOptions>(keyOption(backfill), async (session, [reference = ''], options) => {
    const { from = '', to = '', overlap, again, idempotencyKey } = options;
    const ifMatch = checkedIfMatch(options.ifMatch);
    const id = await scheduleId(session.client, reference);
    const body = { from, to, ...(overlap !== undefined && { overlapPolicy: overlap }), ...(again && { again }) };
    const started = await changing(session, { kind: 'schedule', id }, ifMatch ?? '*', () =>
      session.client.call('startBackfill', { path: { scheduleId: id }, body, ifMatch, idempotencyKey }),
    );
    return printBackfill(session, started);
  });
}

async function named(session: Session, reference: string, backfillId: string) {
  return { path: { scheduleId: await scheduleId(session.client, reference), backfillId } };
}

async function printBackfill({ out, json }: Session, backfill: BackfillBody): Promise<undefined> {
  return void (await (json ? out.json(backfill) : out.line(backfillDetail(out.paint, backfill))));
}
