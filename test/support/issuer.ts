/** An OpenID Connect provider on loopback: a discovery document, keys, and tokens of every kind that one might meet. */
import { createServer, type Server } from 'node:http';
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';

const ALGORITHM = 'RS256';

export interface Issuer {
  readonly url: string;
  readonly audience: string;
  /** Requests for its keys so far. */
  readonly keyRequests: () => number;
  token(claims: JWTPayload, options?: TokenOptions): Promise<string>;
  /** Without a signature. */
  unsigned(claims: JWTPayload): string;
  /** Signed with the public key as if it were a shared secret. */
  confused(claims: JWTPayload): Promise<string>;
  /** New tokens are signed with a new key from now on; the old one is still published. */
  rotate(): Promise<void>;
  /** Answers 500 from now on, or works again. */
  fail(broken: boolean): void;
  stop(): Promise<void>;
}

export interface TokenOptions {
  readonly issuer?: string;
  readonly audience?: string;
  /** Seconds from now. */
  readonly expiresIn?: number;
  readonly notBefore?: number;
  /** Seconds from now. */
  readonly issuedAt?: number;
  /** Signed with a key that is not published. */
  readonly foreignKey?: boolean;
}

interface Pair {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
}

export async function startIssuer(audience = 'candor-tests'): Promise<Issuer> {
  const pairs: Pair[] = [await pair('first')];
  const foreign = await pair('first');
  let keyRequests = 0;
  let broken = false;
  const server = createServer((request, response) => {
    const send = (body: unknown, status = 200) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (broken) return send({}, 500);
    if (request.url === '/.well-known/openid-configuration') return send({ issuer: url, jwks_uri: `${url}/keys` });
    if (request.url !== '/keys') return send({}, 404);
    keyRequests++;
    return void published(pairs).then((keys) => send({ keys }));
  });
  const url = await listening(server);
  const seconds = () => Math.floor(Date.now() / 1000);
  return {
    url,
    audience,
    keyRequests: () => keyRequests,
    token: (claims, options = {}) => {
      const signer = options.foreignKey === true ? foreign : pairs.at(-1)!;
      return new SignJWT(claims)
        .setProtectedHeader({ alg: ALGORITHM, kid: signer.kid })
        .setIssuer(options.issuer ?? url)
        .setAudience(options.audience ?? audience)
        .setIssuedAt(seconds() + (options.issuedAt ?? 0))
        .setNotBefore(seconds() + (options.notBefore ?? 0))
        .setExpirationTime(seconds() + (options.expiresIn ?? 600))
        .sign(signer.privateKey);
    },
    unsigned: (claims) =>
      new UnsecuredJWT(claims).setIssuer(url).setAudience(audience).setExpirationTime('10m').encode(),
    confused: async (claims) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256', kid: pairs.at(-1)!.kid })
        .setIssuer(url)
        .setAudience(audience)
        .setExpirationTime('10m')
        .sign(Buffer.from(await exportSPKI(pairs.at(-1)!.publicKey))),
    rotate: async () => void pairs.push(await pair(`key ${pairs.length}`)),
    fail: (isBroken) => {
      broken = isBroken;
    },
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

async function pair(kid: string): Promise<Pair> {
  return { kid, ...(await generateKeyPair(ALGORITHM, { extractable: true })) };
}

const published = (pairs: readonly Pair[]) =>
  Promise.all(
    pairs.map(async ({ kid, publicKey }) => ({ ...(await exportJWK(publicKey)), kid, alg: ALGORITHM, use: 'sig' })),
  );

const listening = (server: Server) =>
  new Promise<string>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(`http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`);
    });
  });
