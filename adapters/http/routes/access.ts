/** `/v1/me`, and for administrators `/v1/principals` with their keys. */
import { createKey, listKeys, revokeKey, rotateKey } from '../../../core/access/keys.ts';
import { createPrincipal, getPrincipal, listPrincipals, patchPrincipal, readMe } from '../../../core/access/service.ts';
import {
  KeyBody,
  KeyCreate,
  KeyRotate,
  MeBody,
  NewKeyBody,
  PrincipalBody,
  PrincipalCreate,
  PrincipalPatch,
} from '../../../core/contract/access.ts';
import { ListBody, PageQuery } from '../../../core/contract/common.ts';
import { changed, created, json, noContent, resource } from '../answers.ts';
import { answers } from '../declare.ts';
import { readIfMatch } from '../parse.ts';
import { type Route, route } from '../route.ts';

const ONE = '/v1/principals/:principalId';
const KEY = `${ONE}/keys/:keyId`;

const LOST_KEY = 'Revoke the key that it names, and create another one.';

const principalRoutes: readonly Route[] = [
  route({
    operation: 'getMe',
    summary: 'Who you are, and what your credential opens.',
    method: 'GET',
    path: '/v1/me',
    access: 'principal',
    answers: answers.json('You.', MeBody),
    handle: async ({ ports, caller }) => json(await readMe(ports, caller)),
  }),
  route({
    operation: 'listPrincipals',
    summary: 'The people and service accounts of your tenant.',
    method: 'GET',
    path: '/v1/principals',
    access: 'principal',
    answers: answers.json('A page of them.', ListBody(PrincipalBody)),
    query: PageQuery,
    handle: async ({ ports, caller, query }) => json(await listPrincipals(ports, caller, query)),
  }),
  route({
    operation: 'createPrincipal',
    summary: 'Make a service account, or enter an AWS role or user.',
    description: 'People come by themselves, through the identity provider.',
    method: 'POST',
    path: '/v1/principals',
    access: 'principal',
    answers: answers.created(PrincipalBody),
    problems: ['name_taken'],
    body: { schema: PrincipalCreate },
    handle: async ({ ports, caller, body }) => {
      const principal = await createPrincipal(ports, caller, body);
      return created(principal, `/v1/principals/${principal.id}`);
    },
    repeat: {
      created: async ({ ports, caller }, id) => created(await getPrincipal(ports, caller, id), `/v1/principals/${id}`),
    },
  }),
  route({
    operation: 'getPrincipal',
    summary: 'One principal.',
    method: 'GET',
    path: ONE,
    access: 'principal',
    answers: answers.resource(PrincipalBody),
    handle: async ({ ports, caller, request, param }) =>
      resource(request, await getPrincipal(ports, caller, param('principalId'))),
  }),
  route({
    operation: 'updatePrincipal',
    summary: 'Change what a principal may do, or revoke it.',
    description: 'A revoked principal is refused from then on, and none of its schedules fires.',
    method: 'PATCH',
    path: ONE,
    access: 'principal',
    ifMatch: 'required',
    answers: answers.changed(PrincipalBody),
    problems: ['illegal_transition'],
    body: { schema: PrincipalPatch },
    refusal: 'principals are not deleted: what they did names them; set their status to revoked',
    handle: async ({ ports, caller, request, param, body }) =>
      changed(await patchPrincipal(ports, caller, param('principalId'), body, readIfMatch(request))),
  }),
];

const keyRoutes: readonly Route[] = [
  route({
    operation: 'listKeys',
    summary: 'The keys of a service account, without what is secret of them.',
    method: 'GET',
    path: `${ONE}/keys`,
    access: 'principal',
    answers: answers.json('All of them.', ListBody(KeyBody)),
    handle: async ({ ports, caller, param }) => json(await listKeys(ports, caller, param('principalId'))),
  }),
  route({
    operation: 'createKey',
    summary: 'Make a key of a service account.',
    description: 'It is shown this once. If-Match is about the principal, whose version this raises.',
    method: 'POST',
    path: `${ONE}/keys`,
    access: 'principal',
    ifMatch: 'honoured',
    answers: answers.secret(NewKeyBody),
    problems: ['illegal_transition'],
    body: { schema: KeyCreate },
    handle: async ({ ports, caller, request, param, body }) =>
      json(await createKey(ports, caller, param('principalId'), body, readIfMatch(request)), 201),
    repeat: { secret: LOST_KEY },
  }),
  route({
    operation: 'rotateKey',
    summary: 'Make a key that takes the place of another one.',
    description: 'Both work for the overlap. If-Match is about the principal, whose version this raises.',
    method: 'POST',
    path: `${KEY}/rotate`,
    access: 'principal',
    ifMatch: 'honoured',
    answers: answers.secret(NewKeyBody),
    problems: ['illegal_transition'],
    body: { schema: KeyRotate, optional: true },
    handle: async ({ ports, caller, request, param, body }) => {
      const of = { principalId: param('principalId'), keyId: param('keyId') };
      return json(await rotateKey(ports, caller, of, body, readIfMatch(request)), 201);
    },
    repeat: { secret: LOST_KEY },
  }),
  route({
    operation: 'revokeKey',
    summary: 'Refuse a key from now on.',
    description: 'Repeating it is harmless. If-Match is about the principal, whose version this raises.',
    method: 'DELETE',
    path: KEY,
    access: 'principal',
    ifMatch: 'honoured',
    answers: answers.none('It is revoked.'),
    handle: async ({ ports, caller, request, param }) => {
      const of = { principalId: param('principalId'), keyId: param('keyId') };
      await revokeKey(ports, caller, of, readIfMatch(request));
      return noContent();
    },
  }),
];

export const accessRoutes: readonly Route[] = [...principalRoutes, ...keyRoutes];
