/** With whose authority something goes on after the request that began it: the principal's, cut down as its credential was. */
import { CandorError } from '../errors.ts';
import type { Ports } from '../ports.ts';
import type { RunRow } from '../runs/model.ts';
import * as keys from '../table/itemKeys.ts';
import { asRow } from '../table/rows.ts';
import { narrowed, type Reach } from './grants.ts';
import { TO_RUN } from './operations.ts';
import { grantsOf, type KeyRow, type PrincipalRow } from './principals.ts';

export interface Authority {
  readonly principalId: string;
  /** The key that opened less than its account does, where it was one. */
  readonly cutBy?: string;
}

type Origin = Pick<RunRow, 'tenantId' | 'trigger' | 'principalId' | 'cutBy' | 'parentRunId'>;

/** To whom a run goes back. Runs of before this was written down say it by their oldest ancestor. */
export async function authorityOf({ store }: Pick<Ports, 'store'>, run: Origin): Promise<Authority | undefined> {
  const { trigger, cutBy, parentRunId } = run;
  const principalId = run.principalId ?? (trigger.kind === 'run' ? undefined : trigger.by);
  if (principalId !== undefined) return { principalId, ...(cutBy !== undefined && { cutBy }) };
  const parent = parentRunId === undefined ? undefined : asRow<RunRow>(await store.get(keys.run(parentRunId)));
  return parent === undefined ? undefined : authorityOf({ store }, parent);
}

/**
 * What may be started with this authority, as its principal's roles stand now. A key's cut holds after the key's own end.
 * @throws CandorError `forbidden` where the principal may do nothing any more
 */
export async function reachOf(
  { store }: Pick<Ports, 'store'>,
  tenantId: string,
  authority: Authority | undefined,
): Promise<Reach> {
  if (authority === undefined) throw powerless('It is not known who started it,');
  const { principalId, cutBy } = authority;
  const wanted = [keys.principal(principalId), ...(cutBy === undefined ? [] : [keys.apiKey(principalId, cutBy)])];
  const [principalItem, keyItem] = await store.getMany(wanted);
  const principal = asRow<PrincipalRow>(principalItem);
  const key = asRow<KeyRow>(keyItem);
  if (principal?.status !== 'active' || principal.tenantId !== tenantId) throw powerless(`${principalId} is revoked,`);
  if (cutBy !== undefined && key === undefined) throw powerless(`The key ${cutBy} is not known,`);
  const grants = key === undefined ? grantsOf(principal) : narrowed(grantsOf(principal), key);
  return { tenantId, asked: { ...grants, operation: 'createRun', needs: TO_RUN } };
}

const powerless = (who: string) =>
  new CandorError('forbidden', `${who} so this run starts no further runs.`, {
    remedy: 'Start the run with the credential of a principal that is active.',
  });
