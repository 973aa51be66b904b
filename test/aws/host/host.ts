/**
 * Plays the hosts of EC2: sees which instances the emulator has, boots a machine for each of ours, ends the machine when its
 * instance has been terminated, and lets a test decide how a machine fares.
 */

import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DescribeInstanceAttributeCommand,
  DescribeInstancesCommand,
  EC2Client,
  type Instance,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { query, textOf } from '../emulator/query.ts';
import { REGION } from '../emulator/start.ts';
import type { AwsProxy } from '../proxy/proxy.ts';
import { Machine } from './machine.ts';
import { type Credentials, serveMetadata } from './metadata.ts';

const POLL_MS = 250;

export type Fate =
  | { readonly kind: 'boots' }
  /** It is `running`, says EC2, and nothing is ever heard of it. */
  | { readonly kind: 'never-boots' }
  | { readonly kind: 'boots-when'; readonly ready: Promise<unknown> };

export interface HostOptions {
  readonly emulatorUrl: string;
  readonly proxy: AwsProxy;
  readonly folder: string;
  /** Value of the tag that marks this installation's instances. */
  readonly installation: string;
  /** A reachable form of the API's address: names under `.localhost` are not resolved everywhere. */
  readonly reachable: (apiUrl: string) => string;
  readonly problem: (text: string) => void;
}

/** An instance, as the host knows it. */
export interface Hosted {
  readonly instanceId: string;
  readonly vmId: string | undefined;
  readonly type: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly availabilityZone: string;
  terminated: boolean;
  machine: Machine | undefined;
}

export class Ec2Host {
  readonly #options: HostOptions;
  readonly #ec2: EC2Client;
  readonly #hosted = new Map<string, Hosted>();
  readonly #zones = new Map<string, string>();
  #mostLiving = 0;
  #fateOf: (instance: Hosted) => Fate = () => ({ kind: 'boots' });
  #polling: Promise<void> | undefined;
  #closed = false;

  constructor(options: HostOptions) {
    this.#options = options;
    const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
    this.#ec2 = new EC2Client({ endpoint: options.emulatorUrl, region: REGION, credentials });
  }

  /** How instances fare that are launched from now on. */
  set fate(fateOf: (instance: Hosted) => Fate) {
    this.#fateOf = fateOf;
  }

  instances(): readonly Hosted[] {
    return [...this.#hosted.values()];
  }

  living(): readonly Hosted[] {
    return this.instances().filter(({ terminated }) => !terminated);
  }

  /** The most that lived at once since the last call, counted whenever one was seen to have been launched. */
  takeMostLiving(): number {
    const most = this.#mostLiving;
    this.#mostLiving = this.living().length;
    return most;
  }

  ofVm(vmId: string): readonly Hosted[] {
    return this.instances().filter((each) => each.vmId === vmId);
  }

  start(): void {
    this.#polling = this.#poll();
  }

  /** The instance ends without having been asked to, as a spot instance does that AWS takes back. */
  async interrupt(instanceId: string): Promise<void> {
    await this.#end(instanceId, 'Server.SpotInstanceTermination', 'Server.SpotInstanceTermination: taken back');
  }

  /** No process of a machine is left, and nothing looks for instances any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#polling;
    await Promise.all(this.instances().map(({ machine }) => machine?.destroy()));
    this.#ec2.destroy();
  }

  async #end(instanceId: string, code: string, message: string): Promise<void> {
    this.#options.proxy.explainEnd(instanceId, { code, message });
    await this.#hosted.get(instanceId)?.machine?.destroy();
    await this.#ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
  }

  async #poll(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#look();
      } catch (error) {
        if (!this.#closed) this.#options.problem(`EC2 host: ${String(error)}`);
      }
      await sleep(POLL_MS);
    }
  }

  async #look(): Promise<void> {
    const Filters = [{ Name: 'tag:candor:installation', Values: [this.#options.installation] }];
    const { Reservations = [] } = await this.#ec2.send(new DescribeInstancesCommand({ Filters }));
    for (const instance of Reservations.flatMap((each) => each.Instances ?? [])) {
      const instanceId = instance.InstanceId ?? '';
      const state = instance.State?.Name ?? '';
      const known = this.#hosted.get(instanceId);
      const gone = state === 'terminated' || state === 'shutting-down';
      if (known === undefined) this.#appear(instance, gone, await this.#zoneOf(instance.SubnetId ?? ''));
      else if (gone && !known.terminated) {
        known.terminated = true;
        await known.machine?.destroy();
      }
    }
    this.#mostLiving = Math.max(this.#mostLiving, this.living().length);
  }

  /** The emulator says of every instance that it is in the region's first zone. */
  async #zoneOf(subnetId: string): Promise<string> {
    const known = this.#zones.get(subnetId);
    if (known !== undefined) return known;
    const form = { Action: 'DescribeSubnets', Version: '2016-11-15', 'SubnetId.1': subnetId };
    const zone = textOf(await query(this.#options.emulatorUrl, 'ec2', form), 'availabilityZone');
    this.#zones.set(subnetId, zone);
    return zone;
  }

  #appear(instance: Instance, terminated: boolean, availabilityZone: string): void {
    const tags = tagsOf(instance);
    const hosted: Hosted = {
      instanceId: instance.InstanceId ?? '',
      vmId: tags['candor:vm'],
      type: instance.InstanceType ?? '',
      tags,
      availabilityZone,
      terminated,
      machine: undefined,
    };
    this.#hosted.set(hosted.instanceId, hosted);
    if (terminated) return;
    const fate = this.#fateOf(hosted);
    if (fate.kind === 'never-boots') return;
    const when = fate.kind === 'boots-when' ? fate.ready : Promise.resolve();
    when
      .then(() => this.#boot(instance, hosted))
      .catch((error: unknown) => {
        if (!hosted.terminated && !this.#closed) this.#options.problem(`${hosted.instanceId}: ${String(error)}`);
      });
  }

  async #boot(instance: Instance, hosted: Hosted): Promise<void> {
    const { folder, emulatorUrl, problem } = this.#options;
    const { instanceId } = hosted;
    const attribute = await this.#ec2.send(
      new DescribeInstanceAttributeCommand({ InstanceId: instanceId, Attribute: 'userData' }),
    );
    if (hosted.terminated || this.#closed) return;
    const roleArn = await this.#roleOf(instance.IamInstanceProfile?.Arn ?? '');
    const tags = tagsOf(instance);
    const facts = {
      instanceId,
      region: REGION,
      availabilityZone: hosted.availabilityZone,
      tags,
      userData: Buffer.from(attribute.UserData?.Value ?? '', 'base64').toString(),
      roleName: roleArn.slice(roleArn.lastIndexOf('/') + 1),
      credentials: () => this.#assume(roleArn, instanceId),
    };
    const disk = path.join(folder, instanceId);
    const cache = path.join(folder, 'cache');
    for (const each of [disk, cache]) fs.mkdirSync(each, { recursive: true });
    const machine = new Machine({
      facts,
      metadata: await serveMetadata(facts),
      folder: disk,
      cache,
      s3Url: emulatorUrl,
      reachable: this.#options.reachable,
      onPowerOff: (why) => {
        this.#end(instanceId, 'Client.InstanceInitiatedShutdown', `Client.InstanceInitiatedShutdown: ${why}`).catch(
          (error: unknown) => problem(`${instanceId} could not end itself: ${String(error)}`),
        );
      },
    });
    hosted.machine = machine;
    await machine.boot();
    // It may have been terminated while it booted.
    if (hosted.terminated || this.#closed) await machine.destroy();
  }

  /** The role of an instance profile. */
  async #roleOf(profileArn: string): Promise<string> {
    const name = profileArn.slice(profileArn.lastIndexOf('/') + 1);
    const form = { Action: 'GetInstanceProfile', Version: '2010-05-08', InstanceProfileName: name };
    const answer = await query(this.#options.emulatorUrl, 'iam', form);
    const roles = /<Roles>([\s\S]*)<\/Roles>/.exec(answer)?.[1] ?? '';
    return textOf(roles, 'Arn');
  }

  /** As EC2 does for an instance: the session's name is the instance's id. */
  async #assume(roleArn: string, instanceId: string): Promise<Credentials> {
    const form = { Action: 'AssumeRole', Version: '2011-06-15', RoleArn: roleArn, RoleSessionName: instanceId };
    const answer = await query(this.#options.emulatorUrl, 'sts', form);
    return {
      accessKeyId: textOf(answer, 'AccessKeyId'),
      secretAccessKey: textOf(answer, 'SecretAccessKey'),
      token: textOf(answer, 'SessionToken'),
      expiration: textOf(answer, 'Expiration'),
    };
  }
}

const tagsOf = (instance: Instance): Readonly<Record<string, string>> =>
  Object.fromEntries((instance.Tags ?? []).map(({ Key = '', Value = '' }) => [Key, Value]));
