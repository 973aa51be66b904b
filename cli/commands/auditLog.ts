/** `candor audit-log`: who changed what. */
import type { Command } from 'commander';
import type { AuditLogEntryBody } from '../../core/contract/auditLog.ts';
import { type ListOptions, printList } from '../resources.ts';
import type { Host } from '../session.ts';
import { absolute, inline, table } from '../text.ts';
import { examples, pageOptions, subcommand } from './options.ts';

interface AuditLogOptions extends ListOptions {
  readonly by?: string;
  readonly operation?: string;
  readonly resource?: string;
}

/** Adds `audit-log` to the program. */
export function addAuditLogCommand(program: Command, host: Host): void {
  const log = pageOptions(subcommand(program, 'audit-log', 'who changed what, newest first; for administrators'))
    .option('--by <id>', 'only what this principal or run asked for')
    .option('--operation <name>', 'only this operation, such as pauseSchedule')
    .option('--resource <id>', 'only what changed this');
  examples(log, 'candor audit-log --resource sch_…', 'candor audit-log --by usr_admin --all --json');
  host.serve<AuditLogOptions>(log, (session, _, options) => {
    const { by, operation, resource } = options;
    return printList(session, 'listAuditLog', { query: { by, operation, resource } }, options, (page) =>
      table(session.out.paint, ['AT', 'BY', 'OPERATION', 'CHANGED', 'FROM', 'REQUEST'], page.items.map(cells)),
    );
  });
}

const cells = ({ at, by, operation, changes, from, requestId }: AuditLogEntryBody): readonly string[] => [
  absolute(at),
  inline(by.credentialId === undefined ? by.id : `${by.id} (${by.credentialId})`),
  inline(operation),
  inline(changes.map(({ id, before, after }) => `${id}${versions(before, after)}`).join(', ')),
  inline([from.ip, from.userAgent].filter((each) => each !== undefined).join(' ')),
  inline(requestId),
];

const versions = (before: number | undefined, after: number | undefined): string =>
  after === undefined ? '' : before === undefined ? ` → ${after}` : ` ${before} → ${after}`;
