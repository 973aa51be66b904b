/** `candor runs explain, children, seal`: why a run is as it is, and the runs that it has started. */
import type { Command } from 'commander';
import type { ChildrenBody } from '../../core/contract/runs.ts';
import { childrenText, runExplainText } from '../render/runAnswers.ts';
import { type ListOptions, noteMore, readList } from '../resources.ts';
import type { Host, Session } from '../session.ts';
import { pageOptions, subcommand } from './options.ts';

/** Adds the commands to the group. */
export function addRunReading(runs: Command, host: Host): void {
  const explain = subcommand(runs, 'explain <run>', 'why it is not running, or why it ended as it did');
  host.serve(explain, async ({ client, out, json }, [id = '']) => {
    const answer = await client.call('explainRun', { path: { runId: id } });
    return void (await (json ? out.json(answer) : out.line(runExplainText(out.paint, answer))));
  });
  const children = subcommand(runs, 'children <run>', 'the runs that it has started, and how many are still at work');
  host.serve<ListOptions>(pageOptions(children), async (session, [id = ''], options) =>
    printChildren(session, await readList(session, 'listChildren', { path: { runId: id } }, options)),
  );
  const seal = subcommand(
    runs,
    'seal <run>',
    'let it start no further runs; when the last one ends, all are completed',
  );
  host.serve(seal, async (session, [id = '']) =>
    printChildren(session, await session.client.call('sealChildren', { path: { runId: id } })),
  );
}

async function printChildren(session: Session, children: ChildrenBody): Promise<undefined> {
  const { out, json } = session;
  if (json) return void (await out.json(children));
  await out.line(childrenText(out.paint, children));
  return noteMore(session, children);
}
