import { expect, it } from 'vitest';
import { awsIdentity } from '../../../core/contract/awsIdentity.ts';

it.each([
  ['arn:aws:iam::111122223333:role/ci', 'role 111122223333 ci'],
  ['arn:aws:iam::111122223333:role/teams/red/ci', 'role 111122223333 ci'],
  ['arn:aws:sts::111122223333:assumed-role/ci/any-session', 'role 111122223333 ci'],
  ['arn:aws-cn:iam::111122223333:role/ci', 'role 111122223333 ci'],
  ['arn:aws:iam::111122223333:user/people/ann', 'user 111122223333 people/ann'],
  ['arn:aws:iam::111122223333:root', undefined],
  ['arn:aws:sts::111122223333:federated-user/ann', undefined],
  ['arn:aws:iam::111122223333:role/', undefined],
  ['arn:aws:iam::1111:role/ci', undefined],
  ['arn:aws:s3:::bucket', undefined],
  ['ci', undefined],
])('%s is %s', (arn, identity) => expect(awsIdentity(arn)).toBe(identity));
