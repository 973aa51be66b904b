/** An agent as it is answered. */
import { retryToBody } from '../contract/agentParts.ts';
import { type AgentBody, limitsToBody } from '../contract/agents.ts';
import { formatDuration, isoTime } from '../contract/common.ts';
import { type AgentRow, optionalParts } from './model.ts';

export function agentBody(agent: AgentRow, now: number): AgentBody {
  const { limits, retry, warmFor, ...parts } = optionalParts(agent);
  return {
    id: agent.id,
    name: agent.name,
    kind: agent.kind,
    command: agent.command,
    ...parts,
    ...(limits !== undefined && { limits: limitsToBody(limits) }),
    ...(retry !== undefined && { retry: retryToBody(retry) }),
    ...(warmFor !== undefined && { warmFor: formatDuration(warmFor) }),
    ...(agent.metadata !== undefined && { metadata: agent.metadata }),
    version: agent.version,
    createdBy: agent.createdBy,
    createdAt: isoTime(agent.createdAt),
    updatedAt: isoTime(agent.updatedAt),
    asOf: isoTime(now),
  };
}
