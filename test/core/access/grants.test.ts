/** What roles open: over the tenant, over single agents, through a key that was cut down. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkAnywhere,
  checkWhole,
  type Grants,
  isAtLeast,
  narrowed,
  reached,
  roleOver,
} from '../../../core/access/grants.ts';
import { OF_THE_TENANT, OPERATIONS, type Operation } from '../../../core/access/operations.ts';
import { ROLES, type Role } from '../../../core/contract/roles.ts';

const TENANT = 'acme';
const [MINE, OTHER] = ['agt_mine', 'agt_other'];
const asked = (grants: Grants, needs: Role) => ({ tenantId: TENANT, asked: { ...grants, needs, operation: 'test' } });
const thing = (agentId: string, tenantId = TENANT) => ({ tenantId, agentId });

function outcome(act: () => unknown): string {
  try {
    act();
    return 'allowed';
  } catch (error) {
    return (error as { readonly code: string }).code;
  }
}

describe('a role over the tenant', () => {
  it.each(ROLES.flatMap((role) => ROLES.map((needs) => [role, needs] as const)))(
    '%s where %s is needed',
    (role, needs) => {
      const expected = ROLES.indexOf(role) >= ROLES.indexOf(needs) ? 'allowed' : 'forbidden';
      expect(outcome(() => reached(asked({ role }, needs), thing(MINE), 'run', 'r'))).toBe(expected);
      expect(outcome(() => checkWhole({ role, needs, operation: 'test' }))).toBe(expected);
      expect(outcome(() => checkAnywhere({ role, needs, operation: 'test' }))).toBe(expected);
    },
  );

  it('opens nothing of another tenant, not even that it is there', () =>
    expect(outcome(() => reached(asked({ role: 'admin' }, 'viewer'), thing(MINE, 'foreign'), 'run', 'r'))).toBe(
      'not_found',
    ));
});

describe('a role over one agent', () => {
  const grants = { agents: { [MINE]: 'operator' } } as const;
  it('opens what is that agent’s, to that role', () => {
    expect(outcome(() => reached(asked(grants, 'operator'), thing(MINE), 'run', 'r'))).toBe('allowed');
    expect(outcome(() => reached(asked(grants, 'editor'), thing(MINE), 'run', 'r'))).toBe('forbidden');
  });
  it('leaves all others unseen', () =>
    expect(outcome(() => reached(asked(grants, 'viewer'), thing(OTHER), 'run', 'r'))).toBe('not_found'));
  it('opens nothing that concerns the whole tenant', () =>
    expect(outcome(() => checkWhole({ ...grants, needs: 'viewer', operation: 'test' }))).toBe('forbidden'));
  it('adds to the one over the tenant, and never takes from it', () => {
    expect(roleOver({ role: 'viewer', agents: { [MINE]: 'editor' } }, MINE)).toBe('editor');
    expect(roleOver({ role: 'editor', agents: { [MINE]: 'viewer' } }, MINE)).toBe('editor');
  });
});

it('no role is no role: nothing is seen', () =>
  expect(outcome(() => reached(asked({}, 'viewer'), thing(MINE), 'run', 'r'))).toBe('not_found'));

it('a key never opens more than its principal and than it was cut down to, over whatever agent', () => {
  const role = fc.constantFrom(...ROLES);
  const agents = fc.dictionary(fc.constantFrom(MINE, OTHER, 'agt_third'), role);
  const grants = fc.record({ role, agents }, { requiredKeys: [] });
  const cut = fc.record({ role, agents: fc.subarray([MINE, OTHER]) }, { requiredKeys: [] });
  fc.assert(
    fc.property(grants, cut, (whole, by) => {
      const left = narrowed(whole, by);
      for (const agentId of [undefined, MINE, OTHER, 'agt_third']) {
        const got = roleOver(left, agentId);
        if (got === undefined) continue;
        expect(isAtLeast(roleOver(whole, agentId), got)).toBe(true);
        if (by.role !== undefined) expect(isAtLeast(by.role, got)).toBe(true);
        if (by.agents !== undefined) expect(by.agents).toContain(agentId);
      }
    }),
  );
});

it('whoever reads needs no more than viewer; whoever changes definitions, editor', () => {
  for (const [operation, needs] of Object.entries(OPERATIONS)) {
    if (needs === 'public' || needs === 'runner' || needs === 'admin') continue;
    if (/^(list|get|explain|preview)/.test(operation)) expect([operation, needs]).toEqual([operation, 'viewer']);
    if (/^(update|delete)/.test(operation)) expect([operation, needs]).toEqual([operation, 'editor']);
  }
});

it('what only administrators may concerns the tenant as a whole', () => {
  const forAdmins = Object.entries(OPERATIONS).flatMap(([operation, needs]) => (needs === 'admin' ? [operation] : []));
  expect(forAdmins.filter((operation) => !OF_THE_TENANT.has(operation as Operation))).toEqual([]);
});
