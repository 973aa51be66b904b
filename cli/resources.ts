/** Finding agents, schedules and principals by name, and lists that may have many pages. */
import type { Arguments, Body, CandorClient, Listing, Page } from './client.ts';
import { NotResolved } from './errors.ts';
import type { Session } from './session.ts';
import { inline } from './text.ts';

const PAGE_SIZE_MAX = 100;
const LARGEST = { query: { limit: PAGE_SIZE_MAX } } as const;

/**
 * The id of an agent that is given by id or by its exact name. What looks like an id is taken for one.
 * @throws NotResolved
 */
export async function agentId(client: CandorClient, reference: string): Promise<string> {
  if (/^agt_\w+$/.test(reference)) return reference;
  return only('agent', reference, await named(client.pages('listAgents', LARGEST), reference), () => '');
}

/** As {@link agentId}. Two agents may have schedules of the same name: then only the id will do. */
export async function scheduleId(client: CandorClient, reference: string): Promise<string> {
  if (/^sch_\w+$/.test(reference)) return reference;
  const found = await named(client.pages('listSchedules', LARGEST), reference);
  return only('schedule', reference, found, (schedule) => ` (of agent ${schedule.agentId})`);
}

/** As {@link agentId}. Principals need not differ in their names: then only the id will do. */
export async function principalId(client: CandorClient, reference: string): Promise<string> {
  if (/^(usr|sac|iam)_\w+$/.test(reference)) return reference;
  const found = await named(client.pages('listPrincipals', LARGEST), reference);
  return only('principal', reference, found, ({ kind, status }) => ` (${kind}, ${status})`);
}

async function named<T extends { readonly name: string }>(
  pages: AsyncIterable<Page<T>>,
  name: string,
): Promise<readonly T[]> {
  const found: T[] = [];
  for await (const page of pages) found.push(...page.items.filter((item) => item.name === name));
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

/** What a list is asked for with, apart from its pages. */
interface ListRequest {
  readonly path?: object;
  readonly query?: object;
}

/** Prints one page of a list, or all of them as one. */
export async function printList<Name extends Listing>(
  session: Session,
  name: Name,
  request: ListRequest,
  options: ListOptions,
  render: (page: Body<Name>) => string,
): Promise<undefined> {
  return printPage(session, await readList(session, name, request, options), render);
}

/** Prints what has been read of a list. */
export async function printPage<P extends Page<unknown>>(
  session: Session,
  page: P,
  render: (page: P) => string,
): Promise<undefined> {
  const { out, json } = session;
  if (json) return void (await out.json(page));
  if (page.items.length === 0) out.note(page.nextCursor === undefined ? 'There are none.' : 'None on this page.');
  else await out.line(render(page));
  return noteMore(session, page);
}

/** One page of a list, or all of them as one. */
export async function readList<Name extends Listing>(
  { client }: Session,
  name: Name,
  { path, query }: ListRequest,
  { limit, cursor, all }: ListOptions,
): Promise<Body<Name>> {
  const page = all ? { limit: PAGE_SIZE_MAX } : { limit, cursor };
  const request = [{ path, query: { ...query, ...page } }] as unknown as Arguments<Name>;
  return all ? wholeList(client, name, request) : client.call(name, ...request);
}

export function noteMore({ out }: Session, page: Page<unknown>): undefined {
  if (page.nextCursor !== undefined) out.note(`There are more: add --all, or --cursor ${page.nextCursor}`);
}

async function wholeList<Name extends Listing>(
  client: CandorClient,
  name: Name,
  request: Arguments<Name>,
): Promise<Body<Name>> {
  const items: unknown[] = [];
  let last: Page<unknown> = { items };
  for await (const page of client.pages(name, ...request)) {
    items.push(...page.items);
    last = page;
  }
  const { nextCursor: _, ...rest } = last;
  return { ...rest, items } as unknown as Body<Name>;
}
