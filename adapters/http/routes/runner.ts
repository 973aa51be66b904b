/** The runner's door (design.md §5.5). Its credentials are its own: a principal's token opens nothing here. */
import {
  ArtifactQuery,
  HeartbeatRequest,
  HeartbeatResponse,
  LogChunk,
  RegisterRequest,
  RegisterResponse,
  SendHere,
} from '../../../core/contract/runner.ts';
import { NotFound } from '../../../core/errors.ts';
import type { LogRecord } from '../../../core/ports.ts';
import { type AttemptName, storeArtifact, storeChunk } from '../../../core/runs/deposits.ts';
import { heartbeat } from '../../../core/vms/heartbeat.ts';
import { registerRunner } from '../../../core/vms/register.ts';
import { json, noContent } from '../answers.ts';
import { answers } from '../declare.ts';
import { type Route, route } from '../route.ts';
import { structureError } from '../structure.ts';

const LOG_CHUNK_BYTES_MAX = 1024 * 1024;
/** Several ended runs, each with its output: JSON may need six bytes for one of them. */
const HEARTBEAT_BYTES_MAX = 8 * 1024 * 1024;

export const runnerRoutes: readonly Route[] = [
  route({
    operation: 'registerRunner',
    summary: 'Begin to work on a VM.',
    method: 'POST',
    path: '/runner/v1/register',
    access: 'registration',
    answers: answers.json('The number of the registration, and its token.', RegisterResponse),
    problems: ['illegal_transition', 'stale_generation'],
    body: { schema: RegisterRequest },
    handle: async ({ ports, caller, body }) => json(await registerRunner(ports, caller, body)),
    repeat: 'harmless',
  }),
  route({
    operation: 'heartbeat',
    summary: 'Report what runs on a VM, and fetch commands.',
    method: 'POST',
    path: '/runner/v1/heartbeat',
    access: 'vm',
    answers: answers.json('Commands.', HeartbeatResponse),
    problems: ['illegal_transition', 'stale_generation', 'stale_heartbeat'],
    body: { schema: HeartbeatRequest, maxBytes: HEARTBEAT_BYTES_MAX, mend: mendOutputs },
    handle: async ({ ports, caller, body }) => json(await heartbeat(ports, caller, body)),
    repeat: 'harmless',
  }),
  route({
    operation: 'putLogChunk',
    summary: "Store a part of a run's log.",
    method: 'PUT',
    path: '/runner/v1/runs/:runId/attempts/:attempt/logs/:chunk',
    access: 'vm',
    answers: answers.none('It is stored.'),
    problems: ['run_ended', 'stale_generation', 'illegal_transition', 'chunk_conflict'],
    body: { schema: LogChunk, maxBytes: LOG_CHUNK_BYTES_MAX, mend: (value) => value },
    handle: async ({ ports, caller, param, body }) => {
      const chunk = numberOf(param('chunk'), /^(0|[1-9]\d{0,7})$/);
      if (chunk === undefined) throw new NotFound('attempt of run', param('runId'));
      await storeChunk(ports, caller, attemptOf(param), chunk, body.records.map(recordOf));
      return noContent();
    },
  }),
  route({
    operation: 'putArtifact',
    summary: 'Store a file that a run has left.',
    method: 'PUT',
    path: '/runner/v1/runs/:runId/attempts/:attempt/artifacts',
    access: 'vm',
    answers: [
      ...answers.none('It is stored.'),
      { status: 307, description: 'The bytes go there, without the token.', headers: ['Location'] },
      ...answers.json('With ask=true: the bytes go here.', SendHere),
    ],
    problems: ['run_ended', 'stale_generation', 'illegal_transition', 'payload_too_large'],
    query: ArtifactQuery,
    handle: async ({ ports, caller, request, param, query: { ask, ...artifact } }) => {
      const body = ask === 'true' ? undefined : (request.body ?? new Blob([]).stream());
      const put = await storeArtifact(ports, caller, attemptOf(param), artifact, body);
      if (put.kind === 'elsewhere') return new Response(null, { status: 307, headers: { Location: put.url } });
      return put.kind === 'here' ? json({ send: 'here' } satisfies SendHere) : noContent();
    },
  }),
];

function attemptOf(param: (name: string) => string): AttemptName {
  const runId = param('runId');
  const attempt = numberOf(param('attempt'), /^[1-9]\d{0,5}$/);
  if (attempt === undefined) throw new NotFound('attempt of run', runId);
  return { runId, attempt };
}

const numberOf = (text: string, pattern: RegExp): number | undefined => (pattern.test(text) ? Number(text) : undefined);

const recordOf = ({ atMs, stream, text, base64 }: LogChunk['records'][number]): LogRecord => ({
  atMs,
  stream,
  ...(text !== undefined && { text }),
  ...(base64 !== undefined && { base64 }),
});

/**
 * What an agent wrote as its output must not make its VM's heartbeat fail, for then the VM would fall silent and its
 * runs would be lost. JSON that cannot be kept as JSON is kept as the text that it is.
 */
function mendOutputs(value: unknown): unknown {
  if (!isObject(value) || !Array.isArray(value.registry)) return value;
  return {
    ...value,
    registry: value.registry.map((entry: unknown) =>
      isObject(entry) && structureError(entry.output) !== undefined
        ? { ...entry, output: textOf(entry.output) }
        : entry,
    ),
  };
}

function textOf(output: unknown): string {
  try {
    return typeof output === 'string' ? output.toWellFormed() : JSON.stringify(output);
  } catch {
    return '(Candor could not keep this output: it is nested too deeply)';
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
