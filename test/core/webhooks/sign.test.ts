/** Signatures, held against the specification's own example and its reference library. */
import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { secretText, signatureHeaders } from '../../../core/webhooks/sign.ts';

/** The example of the specification and of all its libraries. */
const VECTOR = {
  secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  at: 1_614_265_330_000,
  payload: '{"test": 2432232314}',
  signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
};

test('the public test vector', () => {
  expect(signatureHeaders([VECTOR.secret], VECTOR)).toEqual({
    'webhook-id': VECTOR.id,
    'webhook-timestamp': '1614265330',
    'webhook-signature': VECTOR.signature,
  });
});

test('the reference library verifies what is signed here, and nothing that was changed on its way', () => {
  for (const bytes of [24, 32, 64]) {
    const secret = secretText(randomBytes(bytes));
    const payload = JSON.stringify({ type: 'run.failed', text: 'ünïcode \u2028 "quoted"' });
    const headers = signatureHeaders([secret], { id: 'msg_1', at: Date.now(), payload });
    const receiver = new Webhook(secret);
    expect(receiver.verify(payload, headers)).toEqual(JSON.parse(payload));
    expect(() => receiver.verify(payload.replace('failed', 'passed'), headers)).toThrow();
    expect(() => receiver.verify(payload, { ...headers, 'webhook-id': 'msg_2' })).toThrow();
    const later = String(Number(headers['webhook-timestamp']) + 1);
    expect(() => receiver.verify(payload, { ...headers, 'webhook-timestamp': later })).toThrow();
    expect(() => new Webhook(secretText(randomBytes(bytes))).verify(payload, headers)).toThrow();
  }
});

test('during a rotation either secret verifies', () => {
  const [newer, older] = [secretText(randomBytes(32)), secretText(randomBytes(32))];
  const headers = signatureHeaders([newer, older], { id: 'msg_1', at: Date.now(), payload: '{}' });
  expect(headers['webhook-signature'].split(' ')).toHaveLength(2);
  for (const secret of [newer, older]) expect(new Webhook(secret).verify('{}', headers)).toEqual({});
});

test('secrets have the length that the specification asks for', () => {
  expect(secretText(Buffer.alloc(32))).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  for (const bytes of [0, 23, 65]) expect(() => secretText(Buffer.alloc(bytes))).toThrow(RangeError);
});
