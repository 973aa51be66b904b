/** Changes of a resource on the condition of its version, and what to say when it has moved on. */
import type { CandorClient } from '../client.ts';
import { ApiProblem, UsageError } from '../errors.ts';
import type { Session } from '../session.ts';

/** What is to be changed. */
export interface Subject {
  readonly kind: 'agent' | 'schedule' | 'vm' | 'webhook' | 'principal';
  readonly id: string;
}

function standing(client: CandorClient, { kind, id }: Subject): Promise<{ readonly version: number }> {
  switch (kind) {
    case 'agent':
      return client.call('getAgent', { path: { agentId: id } });
    case 'schedule':
      return client.call('getSchedule', { path: { scheduleId: id } });
    case 'webhook':
      return client.call('getWebhook', { path: { webhookId: id } });
    case 'principal':
      return client.call('getPrincipal', { path: { principalId: id } });
    case 'vm':
      return client.call('getVm', { path: { vmId: id } });
  }
}

/** Checks what `--if-match` says. */
export function checkedIfMatch(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  // An ETag copied from an answer has quotes around the version.
  const version = text.replace(/^"(.*)"$/, '$1');
  if (version !== '*' && !/^\d+$/.test(version))
    throw new UsageError(`--if-match must be a version number or *, not "${text}".`);
  return version;
}

/** Sends a change, and where the version was stale says which one stands now. */
export async function changing<T>(
  session: Session,
  subject: Subject,
  sent: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ApiProblem) || error.problem.status !== 412) throw error;
    const current = await currentVersion(session, subject, error);
    throw new ApiProblem({
      ...error.problem,
      ...(current !== undefined && { currentVersion: current }),
      detail: `It is at version ${current ?? 'unknown'}, and the change was for version ${sent}: nothing was changed.`,
      remedy: 'Look at what has changed, then send the change again.',
    });
  }
}

async function currentVersion({ client }: Session, subject: Subject, error: ApiProblem): Promise<unknown> {
  const told = error.problem.currentVersion ?? error.etag?.replace(/^"(.*)"$/, '$1');
  if (told !== undefined) return told;
  return standing(client, subject).then(
    (body) => body.version,
    () => undefined,
  );
}

export interface DeleteOptions {
  readonly cancelRuns?: true;
  readonly ifMatch?: string;
}

/** Deletes the version that stands, or the one that was named. */
export async function deleteResource(
  session: Session,
  kind: 'agent' | 'schedule' | 'webhook',
  id: string,
  options: DeleteOptions,
): Promise<undefined> {
  const { client, out, json } = session;
  const subject = { kind, id };
  const ifMatch = checkedIfMatch(options.ifMatch) ?? String((await standing(client, subject)).version);
  const query = options.cancelRuns ? ({ cancelRuns: 'true' } as const) : {};
  const answer = await changing(session, subject, ifMatch, async () => {
    if (kind === 'webhook') return client.call('deleteWebhook', { path: { webhookId: id }, ifMatch });
    return kind === 'agent'
      ? client.call('deleteAgent', { path: { agentId: id }, ifMatch, query })
      : client.call('deleteSchedule', { path: { scheduleId: id }, ifMatch, query });
  });
  if (json && answer !== undefined) await out.json(answer);
  else if (answer?.status === 'deleting') out.note(`${id} is being deleted: it is gone when its live runs have ended.`);
  else out.note(`Deleted ${kind} ${id}.`);
  return undefined;
}
