/**
 * `CreateFleet` of type `instant` as AWS documents it, on top of an emulator that never runs out of capacity and ignores the
 * client token. Pools are tried in the order of their priority; what a short pool answers stands in `Errors` beside what
 * another one has launched. The same token with the same parameters is the first call's answer again; with others it is
 * IdempotentParameterMismatch, save that another zone makes it a new request (which is why our tokens name their pools).
 */
import { createHash, randomUUID } from 'node:crypto';
import { type Answer, type Call, errorAnswer, xml, xmlAnswer } from './wire.ts';

export interface Pool {
  readonly type: string | undefined;
  readonly zone: string | undefined;
  readonly market: 'spot' | 'on-demand';
}

/** A shortage in every pool that has what is given here. */
export interface Shortage extends Partial<Pool> {
  /** Such as `InsufficientInstanceCapacity`. */
  readonly code: string;
  readonly message?: string;
}

export interface LaunchRate {
  readonly burst: number;
  readonly perSecond: number;
}

interface Override {
  readonly config: number;
  readonly index: number;
  readonly fields: Readonly<Record<string, string>>;
  readonly pool: Pool;
}

interface Launched {
  readonly override: Override;
  readonly instanceIds: readonly string[];
}

interface Failed {
  readonly override: Override;
  readonly code: string;
  readonly message: string;
}

export interface FleetBackend {
  /** Sends a CreateFleet to the emulator. */
  create(form: URLSearchParams): Promise<Answer>;
  zoneOf(subnetId: string): Promise<string | undefined>;
}

const OVERRIDE = /^LaunchTemplateConfigs\.(\d+)\.Overrides\.(\d+)\.(.+)$/;
const PLACE = /\.(SubnetId|AvailabilityZone|AvailabilityZoneId)$/;

export class FleetModel {
  readonly #backend: FleetBackend;
  readonly #shortages = new Set<Shortage>();
  readonly #answers = new Map<string, { readonly parameters: string; readonly answer: Promise<Answer> }>();
  #extras: { readonly errors: readonly Shortage[]; readonly surplus: number }[] = [];
  #bucket: { rate: LaunchRate; tokens: number; atMs: number } | undefined;

  constructor(backend: FleetBackend) {
    this.#backend = backend;
  }

  /** From now on these pools have nothing, until the shortage ends. */
  shortage(shortage: Shortage): { end(): void } {
    this.#shortages.add(shortage);
    return { end: () => this.#shortages.delete(shortage) };
  }

  /** The next answer with an instance has these errors beside it, and so many instances more than were asked for. */
  addToNextAnswer(extra: { readonly errors?: readonly Shortage[]; readonly surplus?: number }): void {
    this.#extras.push({ errors: extra.errors ?? [], surplus: extra.surplus ?? 0 });
  }

  /** EC2's own limit on launches: a bucket, beyond which it answers RequestLimitExceeded. */
  limitRate(rate: LaunchRate | undefined): void {
    this.#bucket = rate && { rate, tokens: rate.burst, atMs: performance.now() };
  }

  clear(): void {
    this.#shortages.clear();
    this.#extras = [];
    this.#bucket = undefined;
  }

  async answer(call: Call): Promise<Answer> {
    if (call.form.get('DryRun') === 'true')
      return errorAnswer(call, { code: 'DryRunOperation', message: 'Request would have succeeded.', status: 412 });
    const token = call.form.get('ClientToken');
    if (token === null) return this.#launch(call);
    const { key, parameters } = identityOf(call.form, token);
    const earlier = this.#answers.get(key);
    if (earlier !== undefined) {
      if (earlier.parameters === parameters) return earlier.answer;
      return errorAnswer(call, { code: 'IdempotentParameterMismatch' });
    }
    const answer = this.#launch(call);
    this.#answers.set(key, { parameters, answer });
    // A request that was refused as a whole has launched nothing, and its token is free.
    void answer.then(
      ({ status }) => status >= 300 && this.#answers.delete(key),
      () => this.#answers.delete(key),
    );
    return answer;
  }

  async #launch(call: Call): Promise<Answer> {
    if (!this.#takeToken()) return errorAnswer(call, { code: 'RequestLimitExceeded', status: 503 });
    const overrides = await this.#overridesOf(call.form);
    const launched: Launched[] = [];
    const failed: Failed[] = [];
    for (const override of overrides) {
      const shortage = this.#shortageOf(override.pool);
      if (shortage !== undefined) {
        failed.push({ override, code: shortage.code, message: shortage.message ?? messageOf(override.pool) });
        continue;
      }
      const extra = this.#extras.shift();
      const answer = await this.#backend.create(formFor(call.form, override, 1 + (extra?.surplus ?? 0)));
      if (answer.status >= 300) return answer;
      const ids = [...answer.body.toString().matchAll(/<item>(i-[0-9a-f]+)<\/item>/g)].map(([, id]) => id ?? '');
      launched.push({ override, instanceIds: ids });
      for (const { code, message = 'as the test has ordered' } of extra?.errors ?? [])
        failed.push({ override, code, message });
      break;
    }
    return fleetAnswer(call.form, launched, failed);
  }

  #shortageOf(pool: Pool): Shortage | undefined {
    return [...this.#shortages].find(
      ({ type, zone, market }) =>
        (type ?? pool.type) === pool.type &&
        (zone ?? pool.zone) === pool.zone &&
        (market ?? pool.market) === pool.market,
    );
  }

  #takeToken(): boolean {
    const bucket = this.#bucket;
    if (bucket === undefined) return true;
    const nowMs = performance.now();
    const refilled = bucket.tokens + ((nowMs - bucket.atMs) / 1000) * bucket.rate.perSecond;
    bucket.tokens = Math.min(bucket.rate.burst, refilled);
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  async #overridesOf(form: URLSearchParams): Promise<readonly Override[]> {
    const market = form.get('TargetCapacitySpecification.DefaultTargetCapacityType') === 'spot' ? 'spot' : 'on-demand';
    const groups = new Map<string, Record<string, string>>();
    for (const [name, value] of form) {
      const [, config, index, field] = OVERRIDE.exec(name) ?? [];
      if (config === undefined || index === undefined || field === undefined) continue;
      const key = `${config}.${index}`;
      groups.set(key, { ...groups.get(key), [field]: value });
    }
    const found: Override[] = [];
    for (const [key, fields] of groups) {
      const [config = 1, index = 1] = key.split('.').map(Number);
      const subnet = fields.SubnetId;
      const zone = fields.AvailabilityZone ?? (subnet === undefined ? undefined : await this.#backend.zoneOf(subnet));
      found.push({ config, index, fields, pool: { type: fields.InstanceType, zone, market } });
    }
    if (found.length === 0)
      return [{ config: 1, index: 1, fields: {}, pool: { type: undefined, zone: undefined, market } }];
    const priority = ({ fields }: Override) => Number(fields.Priority ?? 0);
    return found.sort((a, b) => priority(a) - priority(b) || a.config - b.config || a.index - b.index);
  }
}

const messageOf = ({ type, zone }: Pool) =>
  `We currently do not have sufficient ${type} capacity in the Availability Zone you requested (${zone}).`;

/** Region and zone are not compared, says EC2's reference, and a token is remembered per zone. */
function identityOf(form: URLSearchParams, token: string): { readonly key: string; readonly parameters: string } {
  const entries = [...form].filter(([name]) => name !== 'ClientToken').sort(([a], [b]) => (a < b ? -1 : 1));
  const places = entries.filter(([name]) => PLACE.test(name));
  const others = entries.filter(([name]) => !PLACE.test(name));
  const digest = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('hex');
  return { key: `${token} ${digest(places)}`, parameters: digest(others) };
}

/** The caller's request with one override alone, so that the emulator launches in the pool that the model has chosen. */
function formFor(form: URLSearchParams, override: Override, count: number): URLSearchParams {
  const reduced = new URLSearchParams();
  for (const [name, value] of form) {
    const inConfig = /^LaunchTemplateConfigs\.(\d+)\.(.+)$/.exec(name);
    if (inConfig === null) reduced.append(name, value);
    else if (Number(inConfig[1]) === override.config && !OVERRIDE.test(name))
      reduced.append(`LaunchTemplateConfigs.1.${inConfig[2]}`, value);
  }
  for (const [field, value] of Object.entries(override.fields))
    reduced.append(`LaunchTemplateConfigs.1.Overrides.1.${field}`, value);
  reduced.set('TargetCapacitySpecification.TotalTargetCapacity', String(count));
  return reduced;
}

function fleetAnswer(form: URLSearchParams, launched: readonly Launched[], failed: readonly Failed[]): Answer {
  const place = ({ config, fields, pool }: Override) => {
    const of = (name: string) => form.get(`LaunchTemplateConfigs.${config}.LaunchTemplateSpecification.${name}`);
    return xml.node(
      'launchTemplateAndOverrides',
      xml.node(
        'launchTemplateSpecification',
        xml.text('launchTemplateId', of('LaunchTemplateId') ?? undefined),
        xml.text('launchTemplateName', of('LaunchTemplateName') ?? undefined),
        xml.text('version', of('Version') ?? undefined),
      ),
      xml.node(
        'overrides',
        xml.text('instanceType', pool.type),
        xml.text('subnetId', fields.SubnetId),
        xml.text('availabilityZone', pool.zone),
      ),
    );
  };
  const instances = launched.map(({ override, instanceIds }) =>
    xml.node(
      'item',
      place(override),
      xml.text('lifecycle', override.pool.market),
      xml.node('instanceIds', ...instanceIds.map((id) => xml.text('item', id))),
      xml.text('instanceType', override.pool.type),
    ),
  );
  const errors = failed.map(({ override, code, message }) =>
    xml.node(
      'item',
      place(override),
      xml.text('lifecycle', override.pool.market),
      xml.text('errorCode', code),
      xml.text('errorMessage', message),
    ),
  );
  const content = [
    xml.text('fleetId', `fleet-${randomUUID()}`),
    xml.node('fleetInstanceSet', ...instances),
    xml.node('errorSet', ...errors),
  ];
  return xmlAnswer('CreateFleet', randomUUID(), content.join(''));
}
