/** What holds for keys, and for all that is made once under an id of its own: nothing comes to stand in its place. */
import type { KeyRow } from '../../core/access/principals.ts';
import { hashSecret } from '../../core/ids.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { API_KEY_PREFIX } from '../../core/table/keys.ts';
import type { Commit } from './invariants.ts';
import type { Change } from './table.ts';
import type { Simulation } from './world.ts';

/** Rows that are made once and then only changed. Of runs and VMs, webhooks and deliveries their own rules say so. */
const MADE_ONCE = ['AGT#', 'SCH#', 'PRN#'];
const BACKFILL_PREFIX = 'BKF#';

export class KeyRules {
  readonly #world: Simulation;

  constructor(world: Simulation) {
    this.#world = world;
  }

  committed({ inc, changes }: Commit): void {
    for (const { key, before, after, write } of changes) {
      // What the identity provider says of a user replaces what it said before: a new version, which the other rules judge.
      const isUser = key.pk.startsWith('PRN#') && before?.kind === 'user' && after?.version !== before.version;
      if (write.kind === 'put' && before !== undefined && isMadeOnce(key) && !isUser)
        this.#world.broken('I8', `${inc.kind}: ${key.pk} ${key.sk} is made a second time`);
      if (key.sk.startsWith(API_KEY_PREFIX)) this.#key(inc.kind, before, after);
    }
  }

  #key(kind: string, before: object | undefined, after: object | undefined): void {
    const [was, is] = [before, after] as readonly (KeyRow | undefined)[];
    const fail = (what: string) => this.#world.broken('I8', `${kind}: key ${was?.id ?? is?.id} ${what}`);
    if (is === undefined) fail('is taken away');
    else if (was !== undefined && is.hash !== was.hash) fail('opens with another secret');
    else if (was?.status === 'revoked' && is.status !== 'revoked') fail('was revoked');
  }

  /** Whoever was shown a key can use it: what is stored is of this secret. */
  shown(principalId: string, keyId: string, key: string): void {
    const row = this.#world.table.get(keys.apiKey(principalId, keyId)) as KeyRow | undefined;
    if (row === undefined || hashSecret(key.split('_').slice(3).join('_')) !== row.hash)
      this.#world.broken('I3', `key ${keyId} was shown, and opens nothing`);
  }
}

const isMadeOnce = ({ pk, sk }: Change['key']): boolean =>
  sk.startsWith(BACKFILL_PREFIX) ||
  sk.startsWith(API_KEY_PREFIX) ||
  (sk === 'META' && MADE_ONCE.some((each) => pk.startsWith(each)));
