/** An answer is read by the program that asked for it: no page shows it, frames it, keeps it or learns where it came from. */
const ALWAYS = Object.entries({
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
});
/** Two years. Where there is no https, as on one machine, nothing of the kind may be promised. */
const HTTPS_ONLY = ['Strict-Transport-Security', 'max-age=63072000; includeSubDomains'] as const;

/** Adds what every answer says to browsers. A policy that an answer brings, such as a page for people, stands. */
export function addSecurityHeaders(headers: Headers, { https }: { readonly https: boolean }): void {
  for (const [name, value] of ALWAYS) if (!headers.has(name)) headers.set(name, value);
  if (https) headers.set(...HTTPS_ONLY);
}
