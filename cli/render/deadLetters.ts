/** `candor dlq` as text and as JSON. */
import type { Letter, QueueName } from '../dlq/letters.ts';
import type { Depth } from '../dlq/mailbox.ts';
import type { Outcome, Result, Summary } from '../dlq/redrive.ts';
import { absolute, type Colour, inline, type Paint, span, table } from '../text.ts';

export interface Listed {
  readonly queue: QueueName;
  readonly depth: Depth;
  /** How many letters were looked at for the oldest. */
  readonly seen: number;
  readonly oldestSentAt?: number;
}

export const depthTable = (paint: Paint, listed: readonly Listed[], now: number): string =>
  table(
    paint,
    ['QUEUE', 'LETTERS', 'TAKEN', 'OLDEST'],
    listed.map(({ queue, depth, seen, oldestSentAt }) => {
      const waiting = depth.waiting + depth.delayed;
      return [
        queue,
        waiting === 0 ? '0' : { text: String(waiting), colour: 'red' },
        String(depth.taken),
        oldestSentAt === undefined
          ? undefined
          : `${span(now - oldestSentAt)}${seen < waiting ? ` (of ${seen} seen)` : ''}`,
      ];
    }),
  );

export const letterTable = (paint: Paint, letters: readonly Letter[], now: number): string =>
  table(
    paint,
    ['LETTER', 'SENT', 'AGE', 'SEEN', 'ABOUT', 'WHY'],
    letters.map(({ id, sentAt, receiveCount, about, reason, errand }) => [
      id,
      absolute(new Date(sentAt).toISOString()),
      span(now - sentAt),
      `${receiveCount}×`,
      about,
      errand.kind === 'none' ? `${reason} (cannot be redriven: ${errand.why})` : reason,
    ]),
  );

/** The body is JSON text of another service: parsed where it is, as it came where it is not. */
export function letterBody({ id, sentAt, receiveCount, about, reason, errand, attributes, body }: Letter) {
  return {
    id,
    sentAt: new Date(sentAt).toISOString(),
    receiveCount,
    about,
    reason,
    redrivable: errand.kind !== 'none',
    attributes,
    body: parsed(body),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const COLOURS: Readonly<Record<Result['kind'], Colour>> = {
  redriven: 'green',
  redriven_not_deleted: 'yellow',
  would_redrive: 'cyan',
  failed: 'red',
  hopeless: 'red',
  discarded: 'yellow',
};

const word = (kind: Result['kind']): string => kind.replaceAll('_', ' ');

/** One line for each letter. */
export function outcomeText(paint: Paint, { letter, result }: Outcome): string {
  const { kind, detail } = result;
  return `${paint(COLOURS[kind], word(kind))}  ${inline(letter.id)}  ${inline(letter.about)}: ${inline(detail)}`;
}

export const outcomeBody = (queue: QueueName, { letter, result }: Outcome) => ({
  queue,
  result: result.kind,
  detail: result.detail,
  ...letterBody(letter),
});

const STOPPED: Readonly<Record<NonNullable<Summary['stopped']>, string>> = {
  max: ' There may be more: --max ends it here.',
  failures: ' It stopped after five failures in a row: remove the cause, and redrive again.',
  interrupted: ' Interrupted: the others are as they were.',
};

/** What a stream's letters that are too old have not set off, and what is left to do about it. */
const GONE =
  '\nWhat the stream has forgotten is not handled any more. Clocks, waiting and buffered runs are put right by the watchdog' +
  '\nand counted by `candor audit`; notifications and webhooks of those changes are not sent. Then clear them with --discard.';

export function summaryText(queue: QueueName, { counts, stopped }: Summary): string {
  const said = Object.entries(counts).map(([kind, count]) => `${count} ${word(kind as Result['kind'])}`);
  const head = said.length === 0 ? 'There are none.' : `${said.join(', ')}.`;
  const gone = queue === 'events' && (counts.hopeless ?? 0) > 0 ? GONE : '';
  return `${head}${stopped === undefined ? '' : STOPPED[stopped]}${gone}`;
}
