/** Agents for people. */
import type { AgentBody, Environment } from '../../core/contract/agents.ts';
import type { Page } from '../client.ts';
import { commandLine, fields, inline, type Paint, relative, table, when } from '../text.ts';

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
    ['environment', pairs(agent.env)],
    ['start timeout', agent.limits?.startTimeout],
    ['run timeout', agent.limits?.runTimeout],
    ['max concurrent runs', agent.limits?.maxConcurrentRuns?.toString()],
    ['metadata', pairs(agent.metadata)],
    ['version', String(agent.version)],
    ['created', `${when(agent.createdAt, agent.asOf)} by ${inline(agent.createdBy)}`],
    ['updated', when(agent.updatedAt, agent.asOf)],
  ]);

/** `name=value`, one per line. */
export function pairs(record: Environment | undefined): string | undefined {
  const lines = Object.entries(record ?? {}).map(([name, value]) =>
    inline(typeof value === 'string' ? `${name}=${value}` : `${name}=(secret ${value.secret})`),
  );
  return lines.length === 0 ? undefined : lines.join('\n');
}
