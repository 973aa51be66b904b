/** `/v1/me`, and for administrators `/v1/principals` with their keys. */
import { createKey, listKeys, revokeKey, rotateKey } from '../../../core/access/keys.ts';
import { createPrincipal, getPrincipal, listPrincipals, patchPrincipal, readMe } from '../../../core/access/service.ts';
import { KeyCreate, KeyRotate, PrincipalCreate, PrincipalPatch } from '../../../core/contract/access.ts';
import { PageQuery } from '../../../core/contract/common.ts';
import { changed, created, json, noContent, resource } from '../answers.ts';
import { readIfMatch } from '../parse.ts';
import { type Route, route } from '../route.ts';

const ONE = '/v1/principals/:principalId';
const KEY = `${ONE}/keys/:keyId`;

const LOST_KEY = 'Revoke the key that it names, and create another one.';

const principalRoutes: readonly Route[] = [
  route({
    operation: 'getMe',
    method: 'GET',
    path: '/v1/me',
    access: 'principal',
    handle: async ({ ports, caller }) => json(await readMe(ports, caller)),
  }),
  route({
    operation: 'listPrincipals',
    method: 'GET',
    path: '/v1/principals',
    access: 'principal',
    query: PageQuery,
    handle: async ({ ports, caller, query }) => json(await listPrincipals(ports, caller, query)),
  }),
  route({
    operation: 'createPrincipal',
    method: 'POST',
    path: '/v1/principals',
    access: 'principal',
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
    method: 'GET',
    path: ONE,
    access: 'principal',
    handle: async ({ ports, caller, request, param }) =>
      resource(request, await getPrincipal(ports, caller, param('principalId'))),
  }),
  route({
    operation: 'updatePrincipal',
    method: 'PATCH',
    path: ONE,
    access: 'principal',
    body: { schema: PrincipalPatch },
    refusal: 'principals are not deleted: what they did names them; set their status to revoked',
    handle: async ({ ports, caller, request, param, body }) =>
      changed(await patchPrincipal(ports, caller, param('principalId'), body, readIfMatch(request))),
  }),
];

const keyRoutes: readonly Route[] = [
  route({
    operation: 'listKeys',
    method: 'GET',
    path: `${ONE}/keys`,
    access: 'principal',
    handle: async ({ ports, caller, param }) => json(await listKeys(ports, caller, param('principalId'))),
  }),
  route({
    operation: 'createKey',
    method: 'POST',
    path: `${ONE}/keys`,
    access: 'principal',
    body: { schema: KeyCreate },
    handle: async ({ ports, caller, param, body }) =>
      json(await createKey(ports, caller, param('principalId'), body), 201),
    repeat: { secret: LOST_KEY },
  }),
  route({
    operation: 'rotateKey',
    method: 'POST',
    path: `${KEY}/rotate`,
    access: 'principal',
    body: { schema: KeyRotate, optional: true },
    handle: async ({ ports, caller, param, body }) =>
      json(await rotateKey(ports, caller, param('principalId'), param('keyId'), body), 201),
    repeat: { secret: LOST_KEY },
  }),
  route({
    operation: 'revokeKey',
    method: 'DELETE',
    path: KEY,
    access: 'principal',
    handle: async ({ ports, caller, param }) => {
      await revokeKey(ports, caller, param('principalId'), param('keyId'));
      return noContent();
    },
  }),
];

export const accessRoutes: readonly Route[] = [...principalRoutes, ...keyRoutes];
