/**
 * Secrets Manager: what agents name, stored, replaced and taken away by people meanwhile; and the keys of the installation,
 * which each process reads for itself and keeps for a while, by the real adapter's rule.
 */
import { SecretValue } from '../../adapters/aws/secretValue.ts';
import { KEYS_STALE_MS_MAX } from '../../adapters/aws/tokens.ts';
import type { Ports } from '../../core/ports.ts';
import { READ_FAULTS } from './faults.ts';
import type { Failures } from './incarnations.ts';
import { type Process, ServiceError } from './ports.ts';
import { Random } from './random.ts';
import type { Simulation } from './world.ts';

export interface SecretWeather {
  /** The keys of the installation are read from it, too. In other worlds they are just there. */
  readonly hasKeys: boolean;
  /** So many of the secrets that agents name are not there at first. */
  readonly absent: number;
  /** So many are stored, replaced or taken away later. */
  readonly changed: number;
}

export const NO_SECRETS: SecretWeather = { hasKeys: false, absent: 0, changed: 0 };

/** In every value, and in nothing else: where it is found, a secret is. */
export const MARK = 'hush-hush';

interface Version {
  readonly from: number;
  readonly value: string | undefined;
}

export class SecretStore {
  readonly #world: Simulation;
  readonly #random: Random;
  readonly #versions = new Map<string, readonly Version[]>();

  constructor(world: Simulation, seed: number) {
    this.#world = world;
    this.#random = new Random(seed);
  }

  read(tenantId: string, id: string): string | undefined {
    return this.#versionsOf(tenantId, id).findLast(({ from }) => from <= this.#world.time.now)?.value;
  }

  /** @param value undefined: it was not there @returns whether it was so at any time until now */
  was(tenantId: string, id: string, value: string | undefined): boolean {
    return this.#versionsOf(tenantId, id).some((each) => each.from <= this.#world.time.now && each.value === value);
  }

  #versionsOf(tenantId: string, id: string): readonly Version[] {
    const key = `${tenantId}/${id}`;
    let versions = this.#versions.get(key);
    if (versions === undefined) {
      versions = this.#drawn(key);
      this.#versions.set(key, versions);
    }
    return versions;
  }

  #drawn(key: string): readonly Version[] {
    const random = this.#random;
    const { absent, changed } = this.#world.weather.secrets;
    const drawnValue = (nth: number) => (random.chance(nth === 0 ? absent : 0.4) ? undefined : `${MARK} ${key} ${nth}`);
    const versions: Version[] = [{ from: 0, value: drawnValue(0) }];
    for (let nth = 1; nth <= 3 && random.chance(changed); nth++)
      versions.push({ from: this.#world.startAt + nth * random.spread(30_000, 400_000), value: drawnValue(nth) });
    return versions.sort((left, right) => left.from - right.from);
  }
}

const SECRETS: Failures = {
  unavailable: (why) => new ServiceError('TimeoutError', why),
  throttled: () => new ServiceError('ThrottlingException', 'Rate exceeded', 400),
};

/**
 * Signing, checking and sealing are computed where they are asked for, and cannot fail by themselves: what can is reading the
 * key, where the process has not kept it.
 */
export function secretPorts(own: Process): Pick<Ports, 'secrets' | 'tokens' | 'seals'> {
  const { world } = own;
  const read = <T>(name: string, apply: () => T): Promise<T> =>
    own.current.call(world.site(own.current, `secrets.${name}`, READ_FAULTS), SECRETS, apply);
  const keptKey = (name: string, staleMsMax: number) => {
    const client = { send: () => read(name, () => ({ SecretString: name })) } as never;
    const kept = new SecretValue({ client, arn: name, time: { now: () => own.clock.now() }, staleMsMax }, String);
    return async () => {
      if (world.weather.secrets.hasKeys) await kept.read();
    };
  };
  const signingKeys = keptKey('signingKeys', KEYS_STALE_MS_MAX);
  const sealingKey = keptKey('sealingKey', 0);
  return {
    secrets: { read: (tenantId, id) => read('read', () => world.secrets.read(tenantId, id)) },
    tokens: {
      sign: async (claims, expiresAt) => {
        await signingKeys();
        return world.tokens.sign(claims, expiresAt);
      },
      verify: async (token, now) => {
        await signingKeys();
        return world.tokens.verify(token, now);
      },
    },
    seals: {
      seal: async (text) => {
        await sealingKey();
        return text;
      },
      open: async (sealed) => {
        await sealingKey();
        return sealed;
      },
    },
  };
}
