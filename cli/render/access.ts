/** Principals and keys as text. */
import type { KeyBody, MeBody, PrincipalBody } from '../../core/contract/access.ts';
import { type Cell, fields, inline, type Paint, statusPainted, table, when } from '../text.ts';

type Listed<T> = { readonly items: readonly T[]; readonly asOf?: string };
type Grants = Pick<PrincipalBody, 'role' | 'agents'>;

const KINDS: Readonly<Record<PrincipalBody['kind'], string>> = {
  user: 'user',
  service_account: 'service account',
  aws: 'AWS role or user',
};

/** Each on a line of its own: over everything first. */
const roles = ({ role, agents }: Grants): readonly string[] => [
  ...(role === undefined ? [] : [role]),
  ...Object.entries(agents ?? {}).map(([agent, each]) => inline(`${agent}: ${each}`)),
];
const rolesText = (grants: Grants): string => roles(grants).join('\n') || 'none';

const colourOf = (status: KeyBody['status']) => (status === 'active' ? 'green' : 'yellow');
const statusOf = (status: KeyBody['status']): Cell => ({ text: status, colour: colourOf(status) });

export const meDetail = (paint: Paint, me: MeBody): string =>
  fields(paint, [
    ['id', inline(me.principalId)],
    ['name', inline(me.name)],
    ['kind', KINDS[me.kind]],
    ['tenant', inline(me.tenantId)],
    ['credential', me.credentialId && inline(me.credentialId)],
    ['role', rolesText(me)],
  ]);

export const principalTable = (paint: Paint, { items }: Listed<PrincipalBody>): string =>
  table(
    paint,
    ['ID', 'KIND', 'STATUS', 'ROLE', 'NAME'],
    items.map((each) => [each.id, KINDS[each.kind], statusOf(each.status), roles(each).join(', '), each.name]),
  );

export function principalDetail(paint: Paint, principal: PrincipalBody): string {
  const { asOf, createdAt, createdBy, updatedAt } = principal;
  return fields(paint, [
    ['id', principal.id],
    ['name', inline(principal.name)],
    ['kind', KINDS[principal.kind]],
    ['status', statusPainted(paint, principal.status === 'active' ? 'active' : 'paused', principal.status)],
    ['role', rolesText(principal)],
    ['issuer', principal.issuer && inline(principal.issuer)],
    ['subject', principal.subject && inline(principal.subject)],
    ['arn', principal.arn && inline(principal.arn)],
    ['created', createdAt && `${when(createdAt, asOf)}${createdBy === undefined ? '' : ` by ${inline(createdBy)}`}`],
    ['updated', updatedAt && when(updatedAt, asOf)],
    ['version', String(principal.version)],
  ]);
}

export const keyTable = (paint: Paint, { items, asOf }: Listed<KeyBody>): string =>
  table(
    paint,
    ['ID', 'STATUS', 'ENDS', 'LAST USED', 'ONLY', 'REPLACED BY', 'NAME'],
    items.map((key) => [
      key.id,
      statusOf(key.status),
      key.expiresAt && when(key.expiresAt, asOf),
      key.lastUsedAt && when(key.lastUsedAt, asOf),
      [...(key.role === undefined ? [] : [key.role]), ...(key.agents ?? [])].join(', '),
      key.replacedBy,
      key.name,
    ]),
  );
