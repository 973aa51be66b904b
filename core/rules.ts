/** Rules that several resources share: versions, sizes. Pure. */
import type { CoreConfig } from './config.ts';
import { CandorError, InvalidRequest, VersionConflict } from './errors.ts';

/** What If-Match said. `any` is `*`: whatever stands. */
export type Precondition =
  | { readonly kind: 'none' }
  | { readonly kind: 'any' }
  | { readonly kind: 'version'; readonly version: number };

/** @throws VersionConflict */
export function honourVersion(kind: string, id: string, current: number, precondition: Precondition): void {
  if (precondition.kind === 'version' && precondition.version !== current) throw new VersionConflict(kind, id, current);
}

/** @throws CandorError `precondition_required`, VersionConflict */
export function requireVersion(kind: string, id: string, current: number, precondition: Precondition): void {
  if (precondition.kind === 'none')
    throw new CandorError('precondition_required', `A change of ${kind} ${id} needs the If-Match header.`, {
      remedy: `Send If-Match with the ETag of the ${kind} as you read it, or * to change whatever stands.`,
    });
  honourVersion(kind, id, current, precondition);
}

/** UTF-8 bytes of a value as JSON. */
export const byteLength = (value: unknown): number => new TextEncoder().encode(JSON.stringify(value) ?? '').length;

/** @throws InvalidRequest */
export function checkMetadata(config: CoreConfig, metadata: object | undefined): void {
  if (metadata === undefined) return;
  const size = byteLength(metadata);
  if (size > config.maxMetadataBytes)
    throw new InvalidRequest('The metadata is too large.', [
      { pointer: '/metadata', message: `has ${size} bytes, the limit is ${config.maxMetadataBytes}` },
    ]);
}

/** @throws InvalidRequest */
export function checkInput(config: CoreConfig, input: unknown): void {
  const size = byteLength(input);
  if (size > config.maxInputBytes)
    throw new InvalidRequest(
      'The input is too large.',
      [{ pointer: '/input', message: `has ${size} bytes as JSON, the limit is ${config.maxInputBytes}` }],
      'Store the data where the agent can fetch it, and send a reference to it as the input.',
    );
}
