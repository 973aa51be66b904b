/** `candor system` and `candor audit` as text. */
import type { AuditBody, PartStatus, SystemBody } from '../../core/contract/system.ts';
import { fields, inline, type Paint, table, when } from '../text.ts';

const COLOURS: Readonly<Record<PartStatus, 'green' | 'yellow' | 'red'>> = {
  alive: 'green',
  seen: 'green',
  unknown: 'yellow',
  silent: 'red',
};

export const systemTable = (paint: Paint, system: SystemBody): string =>
  table(
    paint,
    ['PART', 'STATUS', 'OWNER', 'LAST PROOF OF LIFE', 'DETAIL'],
    system.parts.map((part) => [
      part.name,
      { text: part.status, colour: COLOURS[part.status] },
      inline(part.owner ?? '-'),
      part.lastProofAt === undefined ? 'has never published one' : when(part.lastProofAt, system.asOf),
      inline(
        Object.entries(part.detail)
          .map(([name, value]) => `${name}=${value}`)
          .join(' '),
      ),
    ]),
  );

export function auditText(paint: Paint, audit: AuditBody): string {
  const { counts, checked, running } = audit;
  const head = fields(paint, [
    ['status', audit.status === 'never' ? 'no audit has been through everything yet' : audit.status.replace('_', ' ')],
    ['through', audit.endedAt && when(audit.endedAt, audit.asOf)],
    [
      'found',
      counts &&
        Object.entries(counts)
          .map(([kind, count]) => `${count} ${kind}`)
          .join(', '),
    ],
    [
      'compared',
      checked &&
        Object.entries(checked)
          .map(([what, count]) => `${count} ${what}`)
          .join(', '),
    ],
    ['could not be read', audit.unread === undefined || audit.unread === 0 ? undefined : String(audit.unread)],
    ['under way', running && `since ${when(running.startedAt, audit.asOf)}, at the ${running.stage}`],
  ]);
  if (audit.findings.length === 0) return head;
  const rows = audit.findings.map(({ kind, subject, detail, did }) => [
    kind,
    subject,
    inline(detail),
    inline(did ?? ''),
  ]);
  return `${head}\n\n${table(paint, ['KIND', 'SUBJECT', 'WHAT WAS FOUND', 'WHAT WAS DONE'], rows)}`;
}
