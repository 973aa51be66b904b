/** Finding agents and schedules by name, and lists that may have many pages. */
import type { AgentBody } from '../core/contract/agents.ts';
import type { ScheduleBody } from '../core/contract/schedules.ts';
import { apiPath, type CandorClient, type Page, type Query } from './client.ts';
import { NotResolved } from './errors.ts';
import type { Session } from './session.ts';
import { inline } from './text.ts';

const PAGE_SIZE_MAX = 100;

/**
 * The id of an agent that is given by id or by its exact name. What looks like an id is taken for one.
 * @throws NotResolved
 */
export async function agentId(client: CandorClient, reference: string): Promise<string> {
  if (/^agt_\w+$/.test(reference)) return reference;
  return only('agent', reference, await named<AgentBody>(client, apiPath('agents'), reference), () => '');
}

/** As {@link agentId}. Two agents may have schedules of the same name: then only the id will do. */
export async function scheduleId(client: CandorClient, reference: string): Promise<string> {
  if (/^sch_\w+$/.test(reference)) return reference;
  const found = await named<ScheduleBody>(client, apiPath('schedules'), reference);
  return only('schedule', reference, found, (schedule) => ` (of agent ${schedule.agentId})`);
}

async function named<T extends { readonly name: string }>(
  client: CandorClient,
  path: string,
  name: string,
): Promise<readonly T[]> {
  const found: T[] = [];
  for await (const page of client.pages<T>(path, { limit: PAGE_SIZE_MAX }))
    found.push(...page.items.filter((item) => item.name === name));
  return found;
}

function only<T extends { readonly id: string }>(
  kind: string,
  reference: string,
  found: readonly T[],
  which: (item: T) => string,
): string {
  const [first, ...others] = found;
  if (first === undefined)
    throw new NotResolved(`There is no ${kind} with the id or name "${inline(reference)}".`, {
      remedy: `List them: candor ${kind}s list --all`,
    });
  if (others.length === 0) return first.id;
  const candidates = found.map((item) => `${item.id}${which(item)}`).join(', ');
  throw new NotResolved(`${found.length} ${kind}s have the name "${inline(reference)}": ${candidates}.`, {
    remedy: 'Name the one you mean by its id.',
  });
}

export interface ListOptions {
  readonly limit?: number;
  readonly cursor?: string;
  readonly all?: true;
}

/** Prints one page of a list, or all of them as one. */
export async function printList<T>(
  session: Session,
  path: string,
  options: ListOptions,
  render: (page: Page<T>) => string,
  query: Query = {},
): Promise<undefined> {
  const { out, json } = session;
  const page = await readList<T>(session, path, options, query);
  if (json) return void (await out.json(page));
  if (page.items.length === 0) out.note(page.nextCursor === undefined ? 'There are none.' : 'None on this page.');
  else await out.line(render(page));
  return noteMore(session, page);
}

/** One page of a list, or all of them as one. */
export async function readList<T>(
  { client }: Session,
  path: string,
  { limit, cursor, all }: ListOptions,
  query: Query = {},
): Promise<Page<T>> {
  if (all) return wholeList<T>(client, path, { ...query, limit: PAGE_SIZE_MAX });
  return client.get<Page<T>>(path, { query: { ...query, limit, cursor } });
}

export function noteMore({ out }: Session, page: Page<unknown>): undefined {
  if (page.nextCursor !== undefined) out.note(`There are more: add --all, or --cursor ${page.nextCursor}`);
}

async function wholeList<T>(client: CandorClient, path: string, query: Query): Promise<Page<T>> {
  const items: T[] = [];
  let last: Page<T> = { items };
  for await (const page of client.pages<T>(path, query)) {
    items.push(...page.items);
    last = page;
  }
  const { nextCursor: _, ...rest } = last;
  return { ...rest, items };
}
