import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { sealsWith } from '../../adapters/system/seals.ts';

const key = randomBytes(32);
const seals = sealsWith(async () => key);

test('what was sealed opens for the same context and with the same key only', async () => {
  const sealed = await seals.seal('whsec_ü', 'webhook a');
  expect(await seals.open(sealed, 'webhook a')).toBe('whsec_ü');
  await expect(seals.open(sealed, 'webhook b')).rejects.toThrow('another key, or for something else');
  await expect(sealsWith(async () => randomBytes(32)).open(sealed, 'webhook a')).rejects.toThrow('another key');
});

test('says nothing of the text, and is another one each time', async () => {
  const [one, two] = [await seals.seal('the same', 'x'), await seals.seal('the same', 'x')];
  expect(one).not.toBe(two);
  expect(Buffer.from(one.slice(3), 'base64url').toString('latin1')).not.toContain('the same');
});

test('a changed one, a cut one, and a form of another program are refused', async () => {
  const sealed = await seals.seal('text', 'x');
  const bytes = Buffer.from(sealed.slice(3), 'base64url');
  for (let index = 0; index < bytes.length; index++) {
    const changed = Buffer.from(bytes);
    changed[index] = (changed[index] ?? 0) ^ 1;
    await expect(seals.open(`v1.${changed.toString('base64url')}`, 'x')).rejects.toThrow();
  }
  for (const other of ['', 'v1.', 'v1.AAAA', sealed.replace('v1', 'v2')])
    await expect(seals.open(other, 'x')).rejects.toThrow();
});

test('a short key is no key', async () => {
  await expect(sealsWith(async () => randomBytes(31)).seal('text', 'x')).rejects.toThrow(RangeError);
});
