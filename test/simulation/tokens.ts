/** Tokens that nobody can make up, as numbers in a list. */
import type { TokenClaims } from '../../core/ports.ts';

export class TokenService {
  readonly #signed: { readonly claims: TokenClaims; readonly expiresAt: number }[] = [];

  sign(claims: TokenClaims, expiresAt: number): string {
    this.#signed.push({ claims, expiresAt });
    return `signed-${this.#signed.length - 1}`;
  }

  verify(token: string, now: number): TokenClaims | undefined {
    const found = this.#signed[Number(token.slice('signed-'.length))];
    return found !== undefined && found.expiresAt > now ? found.claims : undefined;
  }
}
