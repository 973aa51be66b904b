/** `candor schedules preview`: when a cadence would fire, before there is a schedule. */
import type { Command } from 'commander';
import { wholeNumber } from '../arguments.ts';
import { UsageError } from '../errors.ts';
import { previewText, warningLines } from '../render/answers.ts';
import type { Host } from '../session.ts';
import { CADENCE_REMEDY, type CadenceOptions, cadenceOf } from './cadence.ts';
import { examples, subcommand } from './options.ts';
import { cadenceOptions, type WindowOptions, windowOf, windowOptions } from './scheduleOptions.ts';

const COUNT_MAX = 1000;

interface PreviewOptions extends CadenceOptions, WindowOptions {
  readonly from?: string;
  readonly count?: number;
}

/** Adds the command to the group. */
export function addPreview(schedules: Command, host: Host): void {
  const preview = subcommand(schedules, 'preview', 'when a cadence would fire, and what may surprise; makes nothing');
  windowOptions(cadenceOptions(preview), '')
    .option('--from <time>', 'from this time on (default: now)')
    .option('--count <n>', 'how many times (default: 10)', wholeNumber(1, COUNT_MAX));
  examples(
    preview,
    "candor schedules preview --cron '30 2 * * *' --timezone Europe/Berlin --from 2027-03-27T00:00:00Z",
    'candor schedules preview --every 15m --count 100 --json',
  );
  host.serve<PreviewOptions>(preview, async (session, _, options) => {
    const cadence = cadenceOf(options);
    if (cadence === undefined) throw new UsageError('There is no cadence to preview.', { remedy: CADENCE_REMEDY });
    const { from, count } = options;
    const window = windowOf(options);
    const body = {
      cadence,
      ...(window && { window }),
      ...(from !== undefined && { from }),
      ...(count !== undefined && { count }),
    };
    const { client, out, json } = session;
    const answer = await client.call('previewCadence', { body });
    if (json) return void (await out.json(answer));
    if (answer.occurrences.length === 0) out.note('There are no occurrences.');
    await out.line(previewText(out.paint, answer));
    for (const line of warningLines(out.paintErrors, answer.warnings)) out.note(line);
    return undefined;
  });
}
