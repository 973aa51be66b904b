/** Those who make service accounts, and keys of them. */
import { createKey, revokeKey, rotateKey } from '../../core/access/keys.ts';
import type { PrincipalRow } from '../../core/access/principals.ts';
import { createPrincipal } from '../../core/access/service.ts';
import { API_KEY_PREFIX } from '../../core/table/keys.ts';
import { ANY, type Ask, BOSS } from './callers.ts';
import type { Operation } from './workload.ts';
import type { Simulation } from './world.ts';

export const KEY_OPERATIONS = ['create_account', 'create_key', 'rotate_key', 'revoke_key'] as const;
export type KeyOperation = (typeof KEY_OPERATIONS)[number];

const HOUR = 3600;

export class KeyClients {
  readonly #world: Simulation;
  readonly #ask: Ask;

  constructor(world: Simulation, ask: Ask) {
    this.#world = world;
    this.#ask = ask;
  }

  async once({ kind, pick, how }: Operation & { readonly kind: KeyOperation }, named?: string): Promise<void> {
    const { table } = this.#world;
    const accounts = [...table.scan('PRN#sac_')].filter(({ sk }) => sk === 'META') as unknown as PrincipalRow[];
    const principalId = named ?? accounts[pick % accounts.length]?.id;
    if (kind === 'create_account' || principalId === undefined) {
      await this.#ask('create_account', (ports) =>
        createPrincipal(ports, BOSS, { name: `account ${how}`, role: 'operator' }),
      );
      return;
    }
    const own = [...table.scan(`PRN#${principalId}`)].filter(({ sk }) => sk.startsWith(API_KEY_PREFIX));
    const keyId = String(own[how % own.length]?.id);
    if (kind === 'create_key' || own.length === 0) {
      const request = { name: `key ${how}`, expiresIn: HOUR };
      const made = await this.#ask('create_key', (ports) => createKey(ports, BOSS, principalId, request, ANY));
      if (made !== undefined) this.#world.checker.keys.shown(principalId, made.id, made.key);
    } else if (kind === 'rotate_key') {
      const request = { overlap: how % 120, expiresIn: HOUR };
      const made = await this.#ask(kind, (ports) => rotateKey(ports, BOSS, { principalId, keyId }, request, ANY));
      if (made !== undefined) this.#world.checker.keys.shown(principalId, made.id, made.key);
    } else await this.#ask(kind, (ports) => revokeKey(ports, BOSS, { principalId, keyId }, ANY));
  }
}
