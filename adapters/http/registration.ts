/** What a runner says of itself when it registers, as it comes. */
import { RegisterRequest } from '../../core/contract/runner.ts';
import { CandorError } from '../../core/errors.ts';

/** @throws CandorError `malformed_json`, `invalid_request` */
export function registrationOf(text: string): RegisterRequest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CandorError('malformed_json', 'The body is not JSON.');
  }
  const parsed = RegisterRequest.safeParse(value);
  if (!parsed.success) throw new CandorError('invalid_request', 'The registration is not valid.');
  return parsed.data;
}
