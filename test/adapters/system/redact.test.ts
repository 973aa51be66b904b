import { expect, it } from 'vitest';
import { redacted } from '../../../adapters/system/redact.ts';
import { keyText } from '../../../core/access/credentials.ts';

const KEY = keyText(`sac_${'0'.repeat(26)}`, `key_${'z'.repeat(26)}`, 'aB3_-'.padEnd(43, 'x'));

it.each([
  ['Authorization: Bearer abc.def-_~+/=', 'Authorization: Bearer ***'],
  ['authorization: Basic dXNlcjpwYXNz', 'authorization: Basic ***'],
  ['git clone https://user:pass@host/x.git failed', 'git clone https://***@host/x.git failed'],
  ['got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln, expected', 'got ***, expected'],
  [`key ${KEY} is wrong`, 'key *** is wrong'],
  [`${KEY}, ${KEY}`, '***, ***'],
  ['signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw+/a=', 'signed with ***'],
  ['{"password":"hunter2","name":"x"}', '{"password":"***","name":"x"}'],
  ['PUT /x?X-Amz-Signature=0a1b&X-Amz-Expires=60', 'PUT /x?X-Amz-Signature=***&X-Amz-Expires=60'],
  ['CANDOR_RUN_TOKEN=abc CANDOR_RUN_ID=run_1', 'CANDOR_RUN_TOKEN=*** CANDOR_RUN_ID=run_1'],
])('blanks out what is a credential by its form: %s', (text, expected) => {
  expect(redacted(text)).toBe(expected);
});

it.each([
  'The secret deploy-key does not exist, or may not be read.',
  'key: RUN#run_01m7z5w27a8s21ctgb6eedk4z7',
  'https://host/x.git and git@host:x.git',
  'the token is not valid here, or has expired',
  'candor_dev and candor-dev-control',
])('leaves words alone: %s', (text) => {
  expect(redacted(text)).toBe(text);
});
