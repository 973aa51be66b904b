/** The HTTP API as one Hono app, for the Lambda and for `candor dev`: routes, headers that every answer has, problems. */
import { randomUUID } from 'node:crypto';
import { type Context, Hono } from 'hono';
import * as z from 'zod';
import { CandorError } from '../../core/errors.ts';
import type { Ports, Rates } from '../../core/ports.ts';
import { json } from './answers.ts';
import type { Authenticate } from './authenticate.ts';
import { answers } from './declare.ts';
import { EXAMPLES } from './examples.ts';
import { type OpenApi, openApiDocument, type RouteGroup } from './openapi.ts';
import { problemResponse } from './problem.ts';
import { CONTENT_SECURITY_POLICY, referencePage } from './reference/page.ts';
import { type Route, route, type Server } from './route.ts';
import { accessRoutes } from './routes/access.ts';
import { agentRoutes } from './routes/agents.ts';
import { auditLogRoutes } from './routes/auditLog.ts';
import { eventRoutes } from './routes/events.ts';
import { occurrenceRoutes } from './routes/occurrences.ts';
import { runnerRoutes } from './routes/runner.ts';
import { runRoutes } from './routes/runs.ts';
import { scheduleRoutes } from './routes/schedules.ts';
import { systemRoutes } from './routes/system.ts';
import { vmRoutes } from './routes/vms.ts';
import { webhookRoutes } from './routes/webhooks.ts';
import { addSecurityHeaders } from './securityHeaders.ts';

export interface AppOptions {
  readonly ports: Ports;
  readonly authenticate: Authenticate;
  /** Asked of each request that brings a credential of the API, unless `maxRequestsPerMinute` is 0. */
  readonly rates: Rates;
  /** One id per request, shown in `X-Request-Id`, in problems and in the log. */
  readonly requestId?: () => string;
  readonly features?: Features;
  readonly signer?: Server['signer'];
}

/** Parts of the API that an installation may go without. What is off does not exist: its paths are unknown. */
export interface Features {
  readonly schedules: boolean;
}

const ALL_FEATURES: Features = { schedules: true };

const documentRoutes: readonly Route[] = [
  route({
    operation: 'getOpenApi',
    summary: 'This document, as the server has it.',
    method: 'GET',
    path: '/v1/openapi.json',
    access: 'public',
    answers: answers.json('The OpenAPI document.', z.looseObject({ openapi: z.string() })),
    handle: async () => json(publicDocument()),
  }),
  route({
    operation: 'getReference',
    summary: 'The document as a page for people.',
    method: 'GET',
    path: '/v1/reference',
    access: 'public',
    answers: answers.page('text/html', 'The page.'),
    handle: async () =>
      new Response(reference(), {
        headers: {
          'Content-Type': 'text/html; charset=utf-8',
          'Content-Security-Policy': CONTENT_SECURITY_POLICY,
        },
      }),
  }),
];

/** What API clients may build on. */
export const PUBLIC_GROUPS: readonly RouteGroup[] = [
  { tag: 'Agents', description: 'How each is started, what it needs, its limits.', routes: agentRoutes },
  {
    tag: 'Schedules',
    description: 'Promises to run an agent at certain times.',
    routes: scheduleRoutes,
    switchable: true,
  },
  {
    tag: 'Occurrences',
    description: 'What became of each time at which a schedule should fire.',
    routes: occurrenceRoutes,
    switchable: true,
  },
  { tag: 'Runs', description: 'Pieces of work: start, look at, follow and cancel them.', routes: runRoutes },
  { tag: 'VMs', description: 'The machines that host runs.', routes: vmRoutes },
  {
    tag: 'Webhooks',
    description: 'Who is told of events, what was sent to them, and how that went.',
    routes: webhookRoutes,
  },
  {
    tag: 'Events',
    description: 'The feed of everything that changes, and the log of who changed it.',
    routes: [...eventRoutes, ...auditLogRoutes],
  },
  {
    tag: 'Access',
    description: 'Who may call, with what role, and the keys of service accounts.',
    routes: accessRoutes,
  },
  {
    tag: 'System',
    description: 'Whether it answers, and what its parts say of themselves.',
    routes: [...documentRoutes, ...systemRoutes],
  },
];

/** Runners have their own door. */
export const RUNNER_GROUP: RouteGroup = { tag: 'Runners', description: 'The door of runners.', routes: runnerRoutes };

/** Every route that there can be: what is documented, whichever features are on. */
export const ROUTES: readonly Route[] = [...PUBLIC_GROUPS, RUNNER_GROUP].flatMap(({ routes }) => routes);

let made: OpenApi | undefined;
/** Made once: it is the same for as long as the program is. */
export function publicDocument(): OpenApi {
  made ??= openApiDocument(PUBLIC_GROUPS, EXAMPLES);
  return made;
}

function routesOf(features: Features): readonly Route[] {
  if (features.schedules) return ROUTES;
  const off = new Set<Route>([...scheduleRoutes, ...occurrenceRoutes]);
  return ROUTES.filter((route) => !off.has(route));
}

let page: string | undefined;
function reference(): string {
  page ??= referencePage(publicDocument());
  return page;
}

export function createApp(options: AppOptions): Hono {
  const { ports, authenticate, rates, requestId = randomUUID } = options;
  const served = routesOf(options.features ?? ALL_FEATURES);
  const server = { ports, authenticate, rates, ...(options.signer !== undefined && { signer: options.signer }) };
  const app = new Hono();
  const problem = (error: unknown, context: Context): Response =>
    problemResponse(error, {
      requestId: context.get('requestId'),
      method: context.req.method,
      path: context.req.path,
      log: ports.log,
    });

  app.use('*', async (context, next) => {
    context.set('requestId', requestId());
    const begunAt = ports.time.now();
    await next();
    measure(ports, context, ports.time.now() - begunAt);
    const { headers } = context.res;
    headers.set('X-Request-Id', context.get('requestId'));
    addSecurityHeaders(headers, { https: new URL(context.req.url).protocol === 'https:' });
  });
  for (const path of new Set(served.map((route) => route.path))) {
    const routes = served.filter((route) => route.path === path);
    for (const each of routes) app.on(each.method, path, (context) => each.serve(server, context));
    app.all(path, (context) => problem(methodNotAllowed(context.req.method, routes), context));
  }
  app.notFound((context) => problem(unknownPath(), context));
  app.onError((error, context) => problem(error, context));
  return app;
}

/** Each has causes of its own: a wrong credential, a role that does not do, a caller that asks too much. */
const REFUSALS = [401, 403, 429];

/** What was asked to be held back says nothing of how fast answers are. */
function measure({ metrics }: Pick<Ports, 'metrics'>, { req, res }: Context, tookMs: number): void {
  metrics.put('ApiRequests', 1, { outcome: `${Math.floor(res.status / 100)}xx` });
  if (REFUSALS.includes(res.status)) metrics.put('ApiRefusals', 1, { status: String(res.status) });
  if (req.query('wait') === undefined) metrics.put('ApiLatencyMilliseconds', tookMs);
}

function methodNotAllowed(method: string, routes: readonly Route[]): CandorError {
  const allow = routes.flatMap((route) => (route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]));
  const refusal = routes.find((route) => route.refusal !== undefined)?.refusal;
  return new CandorError('method_not_allowed', refusal ?? `This resource does not take ${method}.`, {
    remedy: `Use ${allow.join(' or ')}.`,
    facts: { allow },
  });
}

const unknownPath = () =>
  new CandorError('not_found', 'There is nothing at this path.', {
    remedy: 'Check the path: it begins with /v1/ and has no slash at its end.',
  });
