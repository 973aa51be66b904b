/** OpenAPI links: with what an answer says, which operations can be asked next. Derived from the ids in paths and bodies. */
import * as z from 'zod';
import type { AnswerSpec } from './declare.ts';
import type { Route } from './route.ts';

/** Where each id of a path stands in the resource that it names, by the name of the resource's schema. */
const ID_OF: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Agent: { agentId: '/id' },
  Schedule: { scheduleId: '/id', agentId: '/agentId' },
  Run: { runId: '/id', agentId: '/agentId' },
  Vm: { vmId: '/id' },
  Principal: { principalId: '/id' },
  WebhookWithSecret: { webhookId: '/id' },
  Backfill: { backfillId: '/backfillId', scheduleId: '/scheduleId' },
};

/** From an answer that makes a resource to everything that its ids alone can name. */
export function linksOf(route: Route, answer: AnswerSpec, routes: readonly Route[]): Readonly<Record<string, unknown>> {
  if (answer.body === undefined || answer.headers?.includes('Location') !== true) return {};
  const ids = ID_OF[String(z.globalRegistry.get(answer.body)?.id)];
  if (ids === undefined) return {};
  const next = routes.filter(({ operation, path }) => {
    const names = [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => name);
    return operation !== route.operation && names.length > 0 && names.every((name) => name in ids);
  });
  return Object.fromEntries(next.map((each) => [each.operation, linkTo(each, ids, answer)]));
}

function linkTo(route: Route, ids: Readonly<Record<string, string>>, answer: AnswerSpec) {
  const names = [...route.path.matchAll(/:(\w+)/g)].map(([, name = '']) => name);
  const own = route.ifMatch !== undefined && answer.headers?.includes('ETag') === true;
  return {
    operationId: route.operation,
    parameters: {
      ...Object.fromEntries(names.map((name) => [name, `$response.body#${ids[name]}`])),
      ...(own && ids[names.at(-1) ?? ''] === '/id' && { 'If-Match': '$response.header.ETag' }),
    },
  };
}
