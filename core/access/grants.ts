/** What a caller may reach: its tenant, and in it what its roles open. Pure. */

import { ROLES, type Role } from '../contract/roles.ts';
import { CandorError, NotFound } from '../errors.ts';

/** Roles that somebody has: over the whole tenant, and more over single agents and all that is theirs. */
export interface Grants {
  readonly role?: Role;
  readonly agents?: Readonly<Record<string, Role>>;
}

/** Grants, and what is being asked for. */
export interface Asked extends Grants {
  readonly operation: string;
  readonly needs: Role;
}

/** A tenant, and what of it can be reached. Without `asked` all of it: the route has already said what may be asked. */
export interface Reach {
  readonly tenantId: string;
  readonly asked?: Asked;
}

/** A thing of a tenant; nearly all belong to an agent. */
interface Thing {
  readonly tenantId: string;
  readonly agentId?: string | undefined;
}

const rank = (role: Role | undefined): number => (role === undefined ? -1 : ROLES.indexOf(role));
const higher = (one: Role | undefined, other: Role | undefined) => (rank(one) >= rank(other) ? one : other);
const lower = (one: Role | undefined, other: Role | undefined) => (rank(one) <= rank(other) ? one : other);

export const isAtLeast = (role: Role | undefined, needed: Role): boolean => rank(role) >= rank(needed);

/** The role over one agent: the tenant's or the agent's own, whichever is more. */
export const roleOver = ({ role, agents }: Grants, agentId: string | undefined): Role | undefined =>
  agentId === undefined ? role : higher(role, agents?.[agentId]);

/** The most that these grants open anywhere. */
export const mostOf = ({ role, agents = {} }: Grants): Role | undefined =>
  Object.values(agents).reduce<Role | undefined>(higher, role);

/** No more than a credential was cut down to: a role, and where agents are named, these only. */
export function narrowed(grants: Grants, cut: { readonly role?: Role; readonly agents?: readonly string[] }): Grants {
  const most = cut.role ?? 'admin';
  if (cut.agents !== undefined) {
    const agents = cut.agents.flatMap((id) => {
      const role = lower(roleOver(grants, id), most);
      return role === undefined ? [] : [[id, role] as const];
    });
    return { agents: Object.fromEntries(agents) };
  }
  const role = lower(grants.role, most);
  const agents = Object.entries(grants.agents ?? {}).map(([id, own]) => [id, lower(own, most) ?? own] as const);
  return { ...(role !== undefined && { role }), agents: Object.fromEntries(agents) };
}

/** Whether a caller sees a thing at all: what it does not see is absent for it. */
export const isSeen = ({ tenantId, asked }: Reach, thing: Thing): boolean =>
  thing.tenantId === tenantId && (asked === undefined || roleOver(asked, thing.agentId) !== undefined);

/**
 * The thing, where the caller may do to it what it asks for.
 * @throws NotFound for what is absent or not seen, CandorError `forbidden` for what is seen and not allowed
 */
export function reached<T extends Thing>(caller: Reach, thing: T | undefined, kind: string, id: string): T {
  if (thing === undefined || !isSeen(caller, thing)) throw new NotFound(kind, id);
  const { asked } = caller;
  if (asked !== undefined && !isAtLeast(roleOver(asked, thing.agentId), asked.needs))
    throw notAllowed(asked, roleOver(asked, thing.agentId), `the ${kind} ${id}`);
  return thing;
}

/** For what concerns the whole tenant. @throws CandorError `forbidden` */
export function checkWhole(asked: Asked): void {
  if (!isAtLeast(asked.role, asked.needs)) throw notAllowed(asked, asked.role, 'the tenant');
}

/** The first check: nowhere in the tenant may this caller do so much. @throws CandorError `forbidden` */
export function checkAnywhere(asked: Asked): void {
  if (!isAtLeast(mostOf(asked), asked.needs)) throw notAllowed(asked, mostOf(asked), 'anything here');
}

function notAllowed({ operation, needs }: Asked, role: Role | undefined, over: string): CandorError {
  const has = role === undefined ? 'has no role' : `has the role ${role}`;
  return new CandorError('forbidden', `${operation} needs the role ${needs}; this credential ${has} over ${over}.`, {
    remedy: 'Ask an administrator for the role, or use a credential that has it.',
    facts: { operation, needs, ...(role !== undefined && { role }) },
  });
}
