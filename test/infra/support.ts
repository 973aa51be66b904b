/** Synthesis of an environment, and the resources in it as plain JSON, as CloudFormation gets them. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { App } from 'aws-cdk-lib';
import { afterAll, vi } from 'vitest';
import { environmentNamed, validated } from '../../config/environments.ts';
import type { EnvironmentConfig, EnvironmentInput } from '../../config/schema.ts';
import { addStacks } from '../../lib/app.ts';
import { ROOT } from '../../lib/bundle/paths.ts';

// biome-ignore lint/suspicious/noExplicitAny: a template's JSON, which assertions read at places that they name
export type Json = any;

export interface Resource {
  readonly id: string;
  readonly Type: string;
  readonly Properties: Json;
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
  readonly DependsOn?: string | readonly string[];
}

export class Template {
  readonly json: Json;

  constructor(json: Json) {
    this.json = json;
  }

  ofType(type: string): readonly Resource[] {
    return this.all().filter((resource) => resource.Type === type);
  }

  /** The only one of its type. */
  one(type: string): Resource {
    const found = this.ofType(type);
    if (found.length !== 1) throw new Error(`${found.length} resources of type ${type}`);
    return found[0]!;
  }

  all(): readonly Resource[] {
    return Object.entries(this.json.Resources as Record<string, Json>).map(([id, body]) => ({ id, ...body }));
  }
}

export interface Synthesized {
  readonly data: Template;
  readonly fleet: Template;
  readonly control: Template;
  readonly ops: Template;
  readonly outdir: string;
}

/** As `cdk` finds it in `cdk.json`. */
export const context = (JSON.parse(readFileSync(path.join(ROOT, 'cdk.json'), 'utf8')) as Json).context;

// The first synthesis of all bundles the functions, on a machine that does other things as well.
vi.setConfig({ testTimeout: 180_000 });

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder that is gone with the tests of this file. */
export function temporary(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'candor-infra-'));
  folders.push(folder);
  return folder;
}

export function synthesize(environment: string, config: EnvironmentConfig): Synthesized {
  const outdir = temporary();
  const app = new App({ outdir, context });
  const stacks = addStacks(app, environment, config);
  const assembly = app.synth();
  if (assembly.manifest.missing?.length) throw new Error('something was looked up');
  const template = (stack: { stackName: string }) => new Template(assembly.getStackByName(stack.stackName).template);
  return {
    data: template(stacks.data),
    fleet: template(stacks.fleet),
    control: template(stacks.control),
    ops: template(stacks.ops),
    outdir,
  };
}

const cache = new Map<string, Synthesized>();

/** An environment of `config/`, once per test file. */
export function environment(name: string): Synthesized {
  const found = cache.get(name) ?? synthesize(name, environmentNamed(name));
  cache.set(name, found);
  return found;
}

/** The development environment with something else in it. */
export const variant = (change: Partial<EnvironmentInput>): Synthesized =>
  synthesize('test', validated('test', { ...baseInput(), ...change }));

/** A small environment that is valid. */
export const baseInput = (): EnvironmentInput => ({
  account: '111122223333',
  region: 'eu-central-1',
  network: { kind: 'created', availabilityZones: ['eu-central-1a'] },
  pools: [{ architecture: 'arm64', instanceTypes: [{ type: 't4g.medium', vcpu: 2, memoryMiB: 4096 }] }],
  vm: { images: { arm64: { amiId: 'ami-0123456789abcdef0' } } },
});

/** A value of a template as text: what is known only at deploy stands in it as `<…>`. */
export function textOf(value: Json): string {
  if (typeof value === 'string') return value;
  if (value?.Ref !== undefined) return `<${value.Ref}>`;
  if (value?.['Fn::GetAtt'] !== undefined) return `<${value['Fn::GetAtt'].join('.')}>`;
  if (value?.['Fn::ImportValue'] !== undefined) return `<${value['Fn::ImportValue'].split(':').pop()}>`;
  if (value?.['Fn::Sub'] !== undefined) return value['Fn::Sub'].replaceAll(/\$\{([^}]+)\}/g, '<$1>');
  if (value?.['Fn::Join'] !== undefined) return value['Fn::Join'][1].map(textOf).join(value['Fn::Join'][0]);
  throw new Error(`no text for ${JSON.stringify(value)}`);
}

export interface Statement {
  readonly sid: string;
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  readonly condition: Json;
}

const list = (value: Json): readonly Json[] => (Array.isArray(value) ? value : [value]);

/** What the policies of a role in this template allow. */
export function statementsOf(template: Template, roleId: string): readonly Statement[] {
  const policies = template
    .ofType('AWS::IAM::Policy')
    .filter((policy) => list(policy.Properties.Roles).some((role) => JSON.stringify(role).includes(roleId)));
  return policies.flatMap((policy) =>
    list(policy.Properties.PolicyDocument.Statement).map((statement) => ({
      sid: statement.Sid ?? '',
      actions: list(statement.Action),
      resources: list(statement.Resource).map(textOf),
      condition: statement.Condition,
    })),
  );
}

/** The functions of the control stack by their handler's file. */
export function functionsOf({ control }: Synthesized, id: string): ReadonlyMap<string, Resource> {
  return new Map(
    control
      .ofType('AWS::Lambda::Function')
      .map((resource) => [String(resource.Properties.FunctionName).replace(`${id}-`, ''), resource] as const),
  );
}

export const roleIdOf = (resource: Resource): string => resource.Properties.Role['Fn::GetAtt'][0];

/** The user data of the launch template, decoded: the cloud-config and its text. */
export function userDataOf({ control }: Synthesized): { readonly text: string; readonly document: Json } {
  const { UserData } = control.one('AWS::EC2::LaunchTemplate').Properties.LaunchTemplateData;
  const text = textOf(UserData['Fn::Base64']);
  return { text, document: JSON.parse(text.slice(text.indexOf('\n'))) };
}
