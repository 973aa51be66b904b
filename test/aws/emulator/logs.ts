/** What the emulated Lambdas have logged, all of it, in the order of time. */
import { json } from './query.ts';

interface Event {
  readonly timestamp: number;
  readonly message: string;
}

export async function functionLogs(url: string): Promise<string> {
  const call = <T>(action: string, body: unknown) => json<T>(url, 'logs', `Logs_20140328.${action}`, body);
  const { logGroups } = await call<{ logGroups: readonly { logGroupName: string }[] }>('DescribeLogGroups', {});
  const lines: { readonly at: number; readonly text: string }[] = [];
  for (const { logGroupName } of logGroups) {
    const { events } = await call<{ events: readonly Event[] }>('FilterLogEvents', { logGroupName, limit: 10_000 });
    const name = logGroupName.slice(logGroupName.lastIndexOf('/') + 1);
    for (const { timestamp, message } of events)
      lines.push({ at: timestamp, text: `${new Date(timestamp).toISOString()} ${name} ${message.trimEnd()}` });
  }
  return lines
    .sort((a, b) => a.at - b.at)
    .map(({ text }) => text)
    .join('\n');
}
