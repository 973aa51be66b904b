/** The HTTP API as one Hono app, for the Lambda and for `candor dev`: routes, headers that every answer has, problems. */
import { randomUUID } from 'node:crypto';
import { type Context, Hono } from 'hono';
import { CandorError } from '../../core/errors.ts';
import type { Ports, Rates } from '../../core/ports.ts';
import { json } from './answers.ts';
import type { Authenticate } from './authenticate.ts';
import { openApiDocument } from './openapi.ts';
import { problemResponse } from './problem.ts';
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

const documentRoute = route({
  operation: 'getOpenApi',
  method: 'GET',
  path: '/v1/openapi.json',
  access: 'public',
  handle: async () => json(publicDocument()),
});

/** Every route that there can be: what is documented, whichever features are on. */
export const ROUTES: readonly Route[] = [
  documentRoute,
  ...systemRoutes,
  ...agentRoutes,
  ...scheduleRoutes,
  ...occurrenceRoutes,
  ...runRoutes,
  ...vmRoutes,
  ...webhookRoutes,
  ...accessRoutes,
  ...eventRoutes,
  ...auditLogRoutes,
  ...runnerRoutes,
];

/** What API clients may build on; runners have their own door. */
export const publicDocument = () => openApiDocument(ROUTES.filter((each) => each.path.startsWith('/v1/')));

function routesOf(features: Features): readonly Route[] {
  if (features.schedules) return ROUTES;
  const off = new Set<Route>([...scheduleRoutes, ...occurrenceRoutes]);
  return ROUTES.filter((route) => !off.has(route));
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
    for (const [name, value] of SECURITY_HEADERS) headers.set(name, value);
    if (new URL(context.req.url).protocol === 'https:') headers.set(...HTTPS_ONLY);
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

/** An answer is read by the program that asked for it: no page shows it, frames it, keeps it or learns where it came from. */
const SECURITY_HEADERS = Object.entries({
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
});
/** Two years. Where there is no https, as on one machine, nothing of the kind may be promised. */
const HTTPS_ONLY = ['Strict-Transport-Security', 'max-age=63072000; includeSubDomains'] as const;

/** What was asked to be held back says nothing of how fast answers are. */
function measure({ metrics }: Pick<Ports, 'metrics'>, { req, res }: Context, tookMs: number): void {
  metrics.put('ApiRequests', 1, { outcome: `${Math.floor(res.status / 100)}xx` });
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
