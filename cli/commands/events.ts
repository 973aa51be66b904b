/** `candor events`: everything that changes, as it changes. */
import type { Command } from 'commander';
import { FEED_WAIT_SECONDS_MAX, type FeedBody, type FeedEventBody } from '../../core/contract/feed.ts';
import type { Operations } from '../client.ts';
import { eventLine } from '../render/runs.ts';
import { agentId, scheduleId } from '../resources.ts';
import type { Host, Session } from '../session.ts';
import { examples, subcommand } from './options.ts';

type Query = Operations['listEvents']['query'];

interface EventsOptions {
  readonly follow?: true;
  readonly after?: string;
  readonly type?: string;
  readonly agent?: string;
  readonly schedule?: string;
  readonly run?: string;
}

/** Adds `events` to the program. */
export function addEventsCommand(program: Command, host: Host): void {
  const events = subcommand(program, 'events', 'every change of agents, schedules, runs and VMs, in order for each')
    .option('-f, --follow', 'go on with what comes, until Ctrl-C')
    .option(
      '--after <cursor>',
      'go on after this cursor; earliest: all that is kept; latest: what comes from now on (default: earliest, with -f latest)',
    )
    .option('--type <beginning>', 'only those whose type begins so: run., schedule.paused')
    .option('--agent <agent>', 'only those of this agent, its schedules, runs and VMs (id or name)')
    .option('--schedule <schedule>', 'only those of this schedule and its runs (id or name)')
    .option('--run <run>', 'only those of this run');
  examples(
    events,
    'candor events -f',
    'candor events --after earliest --type run.failed --json',
    'candor events -f --after MS4x…',
  );
  host.serve<EventsOptions>(events, printEvents);
}

/** Reads until the end of what there is, or on and on. However it ends, it says where it can be gone on from. */
async function printEvents(session: Session, _: readonly string[], options: EventsOptions): Promise<undefined> {
  const { out } = session;
  const follow = options.follow === true;
  const filter = await filterOf(session, options);
  let after = options.after ?? (follow ? 'latest' : 'earliest');
  const told = new Told();
  try {
    for (;;) {
      const page = await readPage(session, { ...filter, after }, follow);
      for (const event of page.items.filter(({ id }) => told.isNew(id))) await print(session, event);
      after = page.nextCursor;
      if (!follow && page.caughtUp) return undefined;
    }
  } finally {
    out.note(`To go on from here: candor events ${follow ? '-f ' : ''}--after ${after}`);
  }
}

async function filterOf({ client }: Session, { type, agent, schedule, run }: EventsOptions): Promise<Query> {
  return {
    type,
    agentId: agent === undefined ? undefined : await agentId(client, agent),
    scheduleId: schedule === undefined ? undefined : await scheduleId(client, schedule),
    runId: run,
  };
}

/** While it follows, the server may be away for a while: it goes on from where it was. */
function readPage({ client, out }: Session, query: Query, follow: boolean): Promise<FeedBody> {
  if (!follow) return client.call('listEvents', { query });
  return client.callPersistently((error) => out.note(`${error.message} Trying again until it does.`), 'listEvents', {
    query: { ...query, wait: FEED_WAIT_SECONDS_MAX },
  });
}

const print = ({ out, json }: Session, event: FeedEventBody): Promise<void> =>
  json ? out.jsonLine(event) : out.line(eventLine(out.paint, event, event.subject.id));

/** Events come at least once: a repeat comes soon, so it is enough to know the last ones. */
class Told {
  readonly #ids = new Set<string>();

  isNew(id: string): boolean {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    if (this.#ids.size > TOLD_MAX) for (const oldest of [...this.#ids].slice(0, TOLD_MAX / 2)) this.#ids.delete(oldest);
    return true;
  }
}

const TOLD_MAX = 20_000;
