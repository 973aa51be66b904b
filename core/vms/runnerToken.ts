/** The token with which a runner reports: for one VM and one registration, short-lived, replaced by heartbeats. */
import { CandorError } from '../errors.ts';
import type { Ports, TokenClaims } from '../ports.ts';
import type { VmRow } from './model.ts';

type Registered = Pick<VmRow, 'tenantId' | 'id' | 'generation' | 'tokenNumber'>;

export function vmToken(ports: Ports, { tenantId, id, generation, tokenNumber }: Registered): Promise<string> {
  const claims = { kind: 'vm', tenantId, vmId: id, generation, ...(tokenNumber && { number: tokenNumber }) } as const;
  return ports.tokens.sign(claims, ports.time.now() + ports.config.runnerTokenSeconds * 1000);
}

/**
 * A token works for the registration that stands, until a later one of it has been used, while the VM is there.
 * @throws CandorError `stale_generation`, `unauthenticated`, `illegal_transition`
 */
export function checkToken(vm: VmRow, { generation, number = 0 }: Extract<TokenClaims, { kind: 'vm' }>): void {
  if (generation !== vm.generation)
    throw new CandorError('stale_generation', `${vm.id} is at generation ${vm.generation}, not ${generation}.`, {
      remedy: 'Stop this runner; a newer one has taken over its work.',
    });
  if (vm.status === 'terminated')
    throw new CandorError('illegal_transition', `${vm.id} has been observed terminated.`, {
      remedy: 'Stop this runner.',
    });
  if (number < (vm.tokenUsed ?? 0))
    throw new CandorError('unauthenticated', `A newer token of ${vm.id} is in use.`, {
      remedy: 'Use the newest token, or register again with the same nonce.',
    });
}
