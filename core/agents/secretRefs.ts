/** The secrets that an agent names. Whoever may change an agent has what it names: so who adds one must have them all. */
import { isAtLeast, type Reach } from '../access/grants.ts';
import { CandorError } from '../errors.ts';
import type { AgentDefinition } from './model.ts';

type Naming = Pick<AgentDefinition, 'env' | 'repository'>;

interface Reference {
  readonly id: string;
  /** Where it stands, as a JSON pointer. */
  readonly pointer: string;
}

function references({ env = {}, repository }: Naming): readonly Reference[] {
  const ofEnvironment = Object.entries(env).flatMap(([name, value]) =>
    typeof value === 'string' ? [] : [{ id: value.secret, pointer: `/env/${name}/secret` }],
  );
  const { secret } = repository ?? {};
  return [...ofEnvironment, ...(secret === undefined ? [] : [{ id: secret, pointer: '/repository/secret' }])];
}

export const secretIds = (agent: Naming): ReadonlySet<string> => new Set(references(agent).map(({ id }) => id));

/** @throws CandorError `forbidden` where a role over this agent alone would open another agent's secret */
export function checkNewSecrets({ asked }: Reach, before: Naming, after: Naming): void {
  if (asked === undefined || isAtLeast(asked.role, 'editor')) return;
  const had = secretIds(before);
  const added = references(after).filter(({ id }) => !had.has(id));
  if (added.length === 0) return;
  throw new CandorError('forbidden', 'A secret that the agent does not have needs the role editor over the tenant.', {
    remedy: 'Let somebody with that role name the secret, or use one that this agent names already.',
    errors: added.map(({ pointer }) => ({ pointer, message: 'names a secret that is new to this agent' })),
    facts: { operation: asked.operation, needs: 'editor', ...(asked.role !== undefined && { role: asked.role }) },
  });
}
