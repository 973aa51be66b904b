/** The runner's door (design.md §5.5). Its credentials are its own: a principal's token opens nothing here. */
import { ArtifactQuery, HeartbeatRequest, LogChunk, RegisterRequest } from '../../../core/contract/runner.ts';
import { CandorError, NotFound } from '../../../core/errors.ts';
import type { LogAddress, LogRecord, Ports } from '../../../core/ports.ts';
import { loadRun } from '../../../core/runs/service.ts';
import { heartbeat } from '../../../core/vms/heartbeat.ts';
import { registerRunner } from '../../../core/vms/register.ts';
import { json, noContent } from '../answers.ts';
import { type Callers, type Route, route } from '../route.ts';
import { structureError } from '../structure.ts';

const LOG_CHUNK_BYTES_MAX = 1024 * 1024;
/** Several ended runs, each with its output: JSON may need six bytes for one of them. */
const HEARTBEAT_BYTES_MAX = 8 * 1024 * 1024;

export const runnerRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/runner/v1/register',
    access: 'registration',
    body: { schema: RegisterRequest },
    handle: async ({ ports, caller, body }) => json(await registerRunner(ports, caller, body)),
  }),
  route({
    method: 'POST',
    path: '/runner/v1/heartbeat',
    access: 'vm',
    body: { schema: HeartbeatRequest, maxBytes: HEARTBEAT_BYTES_MAX, mend: mendOutputs },
    handle: async ({ ports, caller, body }) => json(await heartbeat(ports, caller, body)),
  }),
  route({
    method: 'PUT',
    path: '/runner/v1/runs/:runId/attempts/:attempt/logs/:chunk',
    access: 'vm',
    body: { schema: LogChunk, maxBytes: LOG_CHUNK_BYTES_MAX, mend: (value) => value },
    handle: async ({ ports, caller, param, body }) => {
      await storeChunk(ports, caller, param, body.records.map(recordOf));
      return noContent();
    },
  }),
  route({
    method: 'PUT',
    path: '/runner/v1/runs/:runId/attempts/:attempt/artifacts',
    access: 'vm',
    query: ArtifactQuery,
    handle: async ({ ports, caller, request, param, query }) => {
      const attempt = numberOf(param('attempt'), /^[1-9]\d{0,5}$/);
      if (attempt === undefined) throw new NotFound('attempt of run', param('runId'));
      const address = await attemptOf(ports, caller, param('runId'), attempt);
      if (query.bytes > ports.config.maxArtifactBytes)
        throw new CandorError('payload_too_large', `The artifact has ${query.bytes} bytes.`, {
          remedy: `An artifact may have at most ${ports.config.maxArtifactBytes} bytes.`,
        });
      const body = request.body ?? new Blob([]).stream();
      const put = await ports.artifacts.put(address, query, body);
      return put.kind === 'stored' ? noContent() : new Response(null, { status: 307, headers: { Location: put.url } });
    },
  }),
];

/** Only the VM that holds the marker may speak for this attempt (I7). */
async function attemptOf(ports: Ports, caller: Callers['vm'], runId: string, attempt: number): Promise<LogAddress> {
  const run = await loadRun(ports, caller.tenantId, runId);
  if (run.vmId !== caller.vmId || run.attempt !== attempt) throw new NotFound('run', runId);
  return { tenantId: run.tenantId, runId, attempt };
}

async function storeChunk(
  ports: Ports,
  caller: Callers['vm'],
  param: (name: string) => string,
  records: readonly LogRecord[],
): Promise<void> {
  const runId = param('runId');
  const attempt = numberOf(param('attempt'), /^[1-9]\d{0,5}$/);
  const chunk = numberOf(param('chunk'), /^(0|[1-9]\d{0,7})$/);
  if (attempt === undefined || chunk === undefined) throw new NotFound('attempt of run', runId);
  await ports.logs.putChunk(await attemptOf(ports, caller, runId, attempt), chunk, records);
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
