/**
 * Routes as data: method, path, who may call, and the schemas of query and body. What is not declared is refused, so a
 * route that forgets to declare something is closed, not open.
 */
import type { Context } from 'hono';
import * as z from 'zod';
import { identityOfSigner } from '../../core/access/credentials.ts';
import { checkAnywhere, checkWhole } from '../../core/access/grants.ts';
import { OF_THE_TENANT, OPERATIONS, type Operation } from '../../core/access/operations.ts';
import type { Caller, Identity } from '../../core/access/principals.ts';
import type { PrincipalCaller } from '../../core/agents/service.ts';
import { isChange, recorded } from '../../core/auditLog/record.ts';
import type { CoreConfig } from '../../core/config.ts';
import { isTerminal } from '../../core/contract/runs.ts';
import { CandorError, type ErrorCode, InvalidRequest, NotFound } from '../../core/errors.ts';
import { type IdPrefix, idPattern } from '../../core/ids.ts';
import type { Ports, Rates, TokenClaims } from '../../core/ports.ts';
import type { RunRow } from '../../core/runs/model.ts';
import * as keys from '../../core/table/itemKeys.ts';
import { asRow } from '../../core/table/rows.ts';
import { type Authenticate, readIdentity, readRunner } from './authenticate.ts';
import type { AnswerSpec } from './declare.ts';
import { type KeyHolder, respondOnce } from './idempotency.ts';
import { originOf } from './origin.ts';
import { type ReadBody, readBody, readIdempotencyKey, readQuery } from './parse.ts';

/** Who may call, and what the handler learns of the caller. */
export interface Callers {
  readonly public: undefined;
  readonly principal: PrincipalCaller & { readonly credentialId?: string };
  /** Principals, and the run that the path names. */
  readonly own_run: Caller;
  /** Principals, and runs: what they may start here, the use case says. */
  readonly starter: Caller;
  readonly registration: Extract<TokenClaims, { kind: 'registration' }>;
  readonly vm: Extract<TokenClaims, { kind: 'vm' }>;
}
export type Access = keyof Callers;

// The app stays a plain `Hono`, which any program can mount: so the variable is declared here, not as a type parameter.
declare module 'hono' {
  interface ContextVariableMap {
    requestId: string;
  }
}

export interface Server {
  readonly ports: Ports;
  readonly authenticate: Authenticate;
  readonly rates: Rates;
  /** Who signed the request, by what stands before this server and has checked it: never by what the caller sends. */
  readonly signer?: (environment: unknown) => string | undefined;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** `for_changes`: required, unless the request only asks what it would do. */
export type IfMatch = 'required' | 'for_changes' | 'honoured';

export interface BodySpec<Schema extends z.ZodType> {
  readonly schema: Schema;
  /** A request without a body counts as `{}`. */
  readonly optional?: boolean;
  readonly maxBytes?: number;
  readonly mend?: (value: unknown) => unknown;
}

export interface Call<A extends Access, Query, Body> {
  readonly ports: Ports;
  readonly caller: Callers[A];
  readonly request: Request;
  /** A parameter of the path. Ids have been checked for their form. */
  readonly param: (name: string) => string;
  readonly query: Query;
  readonly body: Body;
}

const NoQuery = z.strictObject({});
const NoBody = z.undefined();

/**
 * How a POST that was sent again under its `Idempotency-Key` is answered where the first one had its effect and never came
 * to say so: `created` by the id of what it created, `done` from what it changed. Neither may have the effect again.
 * `harmless`: its repeats do nothing, or it has numbers of its own that tell them.
 *
 * The first answer is kept in the table for as long as the key counts. One that says a secret is not, and is given to nobody
 * again: `secret` is what who has lost it can do.
 */
export type Repeat<C> =
  | 'harmless'
  | { readonly created: (call: C, id: string) => Promise<Response> }
  | { readonly done: (call: C) => Promise<Response> }
  | { readonly secret: string };

type ByMethod<C> =
  | { readonly method: 'POST'; readonly repeat: Repeat<C> }
  | { readonly method: Exclude<Method, 'POST'>; readonly repeat?: undefined };

type RouteSpec<A extends Access, Query extends z.ZodType, Body extends z.ZodType> = ByMethod<
  Call<A, z.output<Query>, z.output<Body>>
> & {
  /** Its name, which says who may ask for it. */
  readonly operation: Operation;
  /** What it does, in a sentence, and more where a sentence will not do. */
  readonly summary: string;
  readonly description?: string;
  readonly path: string;
  readonly access: A;
  /** Whether If-Match must be sent, or is looked at where it is. */
  readonly ifMatch?: IfMatch;
  readonly answers: readonly AnswerSpec[];
  /** Errors that do not follow from what it takes. */
  readonly problems?: readonly ErrorCode[];
  readonly query?: Query;
  readonly body?: BodySpec<Body>;
  /** Said to whoever uses a method that the resource does not take. */
  readonly refusal?: string;
  readonly handle: (call: Call<A, z.output<Query>, z.output<Body>>) => Promise<Response>;
};

export interface Route {
  readonly operation: Operation;
  readonly summary: string;
  readonly description?: string;
  readonly method: Method;
  readonly path: string;
  readonly access: Access;
  readonly ifMatch?: IfMatch;
  readonly answers: readonly AnswerSpec[];
  readonly problems: readonly ErrorCode[];
  /** Whether an Idempotency-Key counts, and whether what it answers a repeat is without the secret. */
  readonly keyed: 'never' | 'kept' | 'secret';
  readonly refusal?: string;
  /** What validates the request, for the document that tells of it. */
  readonly query?: z.ZodType;
  readonly body?: { readonly schema: z.ZodType; readonly optional: boolean };
  readonly serve: (server: Server, context: Context) => Promise<Response>;
}

const keyedBy = <C>(repeat: Repeat<C> | undefined): Route['keyed'] => {
  if (repeat === undefined || repeat === 'harmless') return 'never';
  return 'secret' in repeat ? 'secret' : 'kept';
};

/** Checks in this order: credential, ids of the path, query, body. */
export function route<
  A extends Access,
  Query extends z.ZodType = typeof NoQuery,
  Body extends z.ZodType = typeof NoBody,
>(spec: RouteSpec<A, Query, Body>): Route {
  const { operation, summary, description, method, path, access, ifMatch, answers, problems = [], refusal } = spec;
  return {
    operation,
    summary,
    ...(description !== undefined && { description }),
    method,
    path,
    access,
    ...(ifMatch !== undefined && { ifMatch }),
    answers,
    problems,
    keyed: keyedBy(spec.repeat),
    ...(refusal !== undefined && { refusal }),
    ...(spec.query !== undefined && { query: spec.query }),
    ...(spec.body !== undefined && { body: { schema: spec.body.schema, optional: spec.body.optional === true } }),
    serve: async (server, context) => {
      const { ports } = server;
      const request = context.req.raw;
      const caller = (await callerOf(server, context, spec)) as Callers[A];
      checkIds(context);
      const query = readQuery(new URL(request.url), spec.query ?? NoQuery) as z.output<Query>;
      const { body, value } = (await bodyOf(request, spec.body, ports.config)) as ReadBody<z.output<Body>>;
      refuseIfMatch(request, spec);
      const call = { ports, caller, request, param: (name: string) => paramOf(context, name), query, body };
      const noted = (own: Ports) => notingChanges(own, operation, caller, context);
      const key = method === 'POST' && path.startsWith('/v1/') ? readIdempotencyKey(request) : undefined;
      const { repeat } = spec;
      if (key === undefined || repeat === undefined || repeat === 'harmless')
        return spec.handle({ ...call, ports: noted(ports) });
      const problem = { requestId: context.get('requestId'), method, path: context.req.path, log: ports.log };
      const keyed = {
        key,
        operation,
        caller: holderOf(caller),
        request,
        body: value,
        problem,
        secret: 'secret' in repeat,
      };
      return respondOnce(ports, keyed, {
        handle: (own) => spec.handle({ ...call, ports: noted(own) }),
        again: (created) => againOf(repeat, call, created),
      });
    },
  };
}

/** Where the request may change something, its ports write down that it did. */
function notingChanges(ports: Ports, operation: Operation, caller: Callers[Access], context: Context): Ports {
  if (!isChange(operation) || caller === undefined || !('kind' in caller)) return ports;
  if (caller.kind !== 'principal' && caller.kind !== 'run') return ports;
  return recorded(ports, { requestId: context.get('requestId'), operation, caller, from: originOf(context) });
}

async function againOf<C>(
  repeat: Exclude<Repeat<C>, 'harmless'>,
  call: C,
  created: string | undefined,
): Promise<Response> {
  if ('done' in repeat) return repeat.done(call);
  if ('secret' in repeat)
    throw new CandorError('shown_once', 'It has been done. The secret stood in the first answer, and nowhere else.', {
      remedy: repeat.secret,
      facts: { ...(created !== undefined && { id: created }) },
    });
  if (created === undefined) throw new Error('the record of a creation does not say what was created');
  return repeat.created(call, created);
}

/** Who is nobody in particular has no keys: a route for them declares no repeat but `harmless`. */
function holderOf(caller: Callers[Access]): KeyHolder {
  if (caller !== undefined && ('principalId' in caller || 'runId' in caller)) return caller;
  throw new Error('only principals and runs send idempotency keys');
}

/** Room for everything beside the input: names, environment, metadata. */
const BODY_OVERHEAD_BYTES = 128 * 1024;

async function bodyOf(
  request: Request,
  spec: BodySpec<z.ZodType> | undefined,
  config: CoreConfig,
): Promise<ReadBody<unknown>> {
  if (spec === undefined) return { body: undefined, value: undefined };
  return readBody(request, spec.schema, {
    maxBytes: spec.maxBytes ?? config.maxInputBytes + BODY_OVERHEAD_BYTES,
    optional: spec.optional === true,
    ...(spec.mend !== undefined && { mend: spec.mend }),
  });
}

async function callerOf(
  server: Server,
  context: Context,
  { operation, access }: Pick<Route, 'operation' | 'access'>,
): Promise<Callers[Access]> {
  const request = context.req.raw;
  if (access === 'public') return undefined;
  if (access === 'registration' || access === 'vm') return readRunner(request, server.ports, access);
  const identity = await identityOf(server, context, request);
  await refuseFlood(server, identity);
  if (identity.kind === 'principal') return principalCaller(identity, operation);
  const caller = identity;
  if (access === 'starter') return caller;
  if (access === 'principal')
    throw new CandorError('forbidden', 'The token of a run reads its own run and starts runs, and nothing else.', {
      remedy: `Read /v1/runs/${caller.runId}, its events or its logs, or start a run of an agent.`,
    });
  // Another run is as absent for this caller as one that never was.
  if (paramOf(context, 'runId') !== caller.runId) throw new NotFound('run', shown(paramOf(context, 'runId')));
  await checkAtWork(server.ports, caller);
  return caller;
}

/** The token is good for as long as its attempt: what is found of it later opens nothing. @throws CandorError `forbidden` */
async function checkAtWork({ store }: Ports, caller: Extract<Identity, { kind: 'run' }>): Promise<void> {
  const run = asRow<RunRow>(await store.get(keys.run(caller.runId)));
  // One that is not there is the use case's to tell.
  if (run === undefined || (run.attempt === caller.attempt && !isTerminal(run.status))) return;
  throw new CandorError('forbidden', `Attempt ${caller.attempt} of ${caller.runId} has ended, and its token with it.`, {
    remedy: 'Read the run with the credential of a principal.',
  });
}

/** Runners are not counted: what a VM reports must arrive. @throws CandorError `rate_limited` */
async function refuseFlood({ ports, rates }: Server, caller: KeyHolder): Promise<void> {
  const limit = ports.config.maxRequestsPerMinute;
  if (limit === 0) return;
  const wait = await rates.take(`${caller.tenantId}#${'runId' in caller ? caller.runId : caller.principalId}`);
  if (wait === undefined) return;
  throw new CandorError('rate_limited', `This credential may send ${limit} requests a minute, and has sent them.`, {
    remedy: `Wait ${wait} s, and send less often. An operator may raise maxRequestsPerMinute.`,
    facts: { retryAfterSeconds: wait, requestsPerMinute: limit },
  });
}

/** @throws CandorError `unauthenticated` */
async function identityOf(
  { ports, authenticate, signer }: Server,
  context: Context,
  request: Request,
): Promise<Identity> {
  const arn = signer?.(context.env);
  if (arn === undefined) {
    const seen = { requestId: context.get('requestId'), operation: 'enrol', from: originOf(context) } as const;
    return readIdentity(request, authenticate, (own, caller) => recorded(own, { ...seen, caller }));
  }
  const identity = await identityOfSigner(ports, arn);
  if (identity !== undefined) return identity;
  throw new CandorError('unauthenticated', `No principal is entered for ${arn}.`, {
    remedy: 'Let an administrator create a principal with the ARN of this role or user.',
  });
}

/** @throws CandorError `forbidden` where it may do so much nowhere; over one thing, the use case says */
function principalCaller(identity: Extract<Identity, { kind: 'principal' }>, operation: Operation) {
  const needs = OPERATIONS[operation];
  if (needs === 'public' || needs === 'runner') throw new Error(`${operation} is not for principals`);
  const { grants, ...who } = identity;
  const asked = { ...grants, operation, needs };
  if (OF_THE_TENANT.has(operation)) checkWhole(asked);
  else checkAnywhere(asked);
  return { ...who, asked };
}

const ID_KINDS: Readonly<Record<string, { readonly pattern: RegExp; readonly kind: string }>> = {
  agentId: idKind('agt_', 'agent'),
  scheduleId: idKind('sch_', 'schedule'),
  backfillId: idKind('bkf_', 'backfill'),
  runId: idKind('run_', 'run'),
  vmId: idKind('vm_', 'VM'),
  keyId: idKind('key_', 'key'),
  webhookId: idKind('whk_', 'webhook'),
  deliveryId: idKind('msg_', 'delivery'),
  // The first administrator's id is a word.
  principalId: { pattern: /^(usr|sac|iam)_[0-9a-z]{1,26}$/, kind: 'principal' },
};

function idKind(prefix: IdPrefix, kind: string) {
  return { pattern: idPattern(prefix), kind };
}

/** A precondition that nobody looks at must not seem to have been met. @throws InvalidRequest */
function refuseIfMatch(request: Request, { method, path, ifMatch }: Pick<Route, 'method' | 'path' | 'ifMatch'>): void {
  if (ifMatch !== undefined || method === 'GET' || !path.startsWith('/v1/') || !request.headers.has('if-match')) return;
  throw new InvalidRequest(
    'This operation takes no If-Match header.',
    [{ pointer: 'If-Match', message: 'is not looked at here: it does not change a version that was read' }],
    'Send it again without the header.',
  );
}

/** What does not have the form of an id cannot exist: the table is not asked. */
function checkIds(context: Context): void {
  for (const [name, value] of Object.entries(context.req.param())) {
    const known = ID_KINDS[name];
    if (known !== undefined && !known.pattern.test(String(value))) throw new NotFound(known.kind, shown(String(value)));
  }
}

const SHOWN_ID_MAX = 40;
const shown = (id: string): string => (id.length > SHOWN_ID_MAX ? `${id.slice(0, SHOWN_ID_MAX)}…` : id);

const paramOf = (context: Context, name: string): string => context.req.param(name) ?? '';
