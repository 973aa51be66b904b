/** Agents for people. */
import type { Criteria, Needs, RepositoryDefinition, RetryBody, TimeoutsBody } from '../../core/contract/agentParts.ts';
import type { AgentBody, Environment } from '../../core/contract/agents.ts';
import type { Page } from '../client.ts';
import { commandLine, type Field, fields, inline, type Paint, relative, table, when } from '../text.ts';

const COMMAND_SHOWN_MAX = 50;

export const agentTable = (paint: Paint, page: Page<AgentBody>): string =>
  table(
    paint,
    ['ID', 'NAME', 'COMMAND', 'UPDATED'],
    page.items.map((agent) => [
      agent.id,
      agent.name,
      shortened(commandLine(agent.command)),
      relative(agent.updatedAt, page.asOf),
    ]),
  );

const shortened = (text: string): string =>
  text.length > COMMAND_SHOWN_MAX ? `${text.slice(0, COMMAND_SHOWN_MAX - 1)}…` : text;

export const agentDetail = (paint: Paint, agent: AgentBody): string =>
  fields(paint, [
    ['id', agent.id],
    ['name', inline(agent.name)],
    ['kind', agent.kind],
    ['command', commandLine(agent.command)],
    ['working directory', agent.workingDirectory && inline(agent.workingDirectory)],
    ['repository', agent.repository && repositoryText(agent.repository)],
    ['setup', lines(agent.setup?.map(commandLine))],
    ['environment', pairs(agent.env)],
    ...limitFields(agent.limits),
    ...retryLines(agent.retry),
    ['success', agent.successCriteria && criteriaText(agent.successCriteria)],
    ['artifacts', lines(agent.artifacts?.map(inline))],
    ['requirements', agent.requirements && requirementsText(agent.requirements)],
    ['image', agent.image],
    ['slots per VM', agent.slots?.toString()],
    ['warm for', agent.warmFor],
    ['reuse of VMs', agent.reuse],
    ['metadata', pairs(agent.metadata)],
    ['version', String(agent.version)],
    ['created', `${when(agent.createdAt, agent.asOf)} by ${inline(agent.createdBy)}`],
    ['updated', when(agent.updatedAt, agent.asOf)],
  ]);

const lines = (texts: readonly string[] | undefined): string | undefined =>
  texts === undefined || texts.length === 0 ? undefined : texts.join('\n');

const repositoryText = ({ url, ref, secret }: RepositoryDefinition): string =>
  inline(`${url} at ${ref}${secret === undefined ? '' : ` (opened with secret ${secret})`}`);

const requirementsText = (needs: Needs): string =>
  [
    needs.vcpu !== undefined && `${needs.vcpu} vCPU`,
    needs.memoryMiB !== undefined && `${needs.memoryMiB} MiB of memory`,
    needs.diskGiB !== undefined && `${needs.diskGiB} GiB of disk`,
    needs.architecture,
    needs.market?.replace('_', ' '),
    needs.instanceTypes !== undefined && `one of ${needs.instanceTypes.join(', ')}`,
  ]
    .filter(Boolean)
    .join(', ');

const limitFields = (limits: AgentBody['limits']): readonly Field[] => [
  ...timeoutLines(limits),
  ['setup timeout', limits?.setupTimeout],
  ['max concurrent runs', limits?.maxConcurrentRuns?.toString()],
  ['max concurrent VMs', limits?.maxConcurrentVms?.toString()],
  ['max output bytes', limits?.maxOutputBytes?.toString()],
];

export const timeoutLines = (timeouts: TimeoutsBody | undefined): readonly Field[] => [
  ['queue timeout', timeouts?.queueTimeout],
  ['start timeout', timeouts?.startTimeout],
  ['run timeout', timeouts?.runTimeout],
  ['idle timeout', timeouts?.idleTimeout],
];

export const retryLines = (retry: RetryBody | undefined): readonly Field[] => [
  ['max attempts', retry?.maxAttempts?.toString()],
  ['retry backoff', retry?.backoff],
  ['retry after start', retry?.afterStart === undefined ? undefined : retry.afterStart ? 'yes' : 'no'],
];

const criteriaText = ({ exitCode, artifact, outputSchema }: Criteria): string =>
  [
    exitCode !== undefined && `exit code ${exitCode}`,
    artifact !== undefined && `an artifact like ${artifact}`,
    outputSchema !== undefined && `an output that matches ${JSON.stringify(outputSchema)}`,
  ]
    .filter((text) => text !== false)
    .map(inline)
    .join('\n');

/** `name=value`, one per line. */
export function pairs(record: Environment | undefined): string | undefined {
  const named = Object.entries(record ?? {}).map(([name, value]) =>
    inline(typeof value === 'string' ? `${name}=${value}` : `${name}=(secret ${value.secret})`),
  );
  return lines(named);
}
