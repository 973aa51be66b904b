import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openDataDir } from '../../../adapters/local/dataDir.ts';
import { temporaryFolder } from './support.ts';

const NOW = Date.UTC(2026, 10, 20);
const modeOf = (file: string) => statSync(file).mode & 0o777;

describe('the data folder', () => {
  it('is set up with keys of its own that only the owner can read', async () => {
    const folder = path.join(temporaryFolder(), 'deep', 'candor');

    const dataDir = await openDataDir(folder, NOW);

    const server = dataDir.server();
    expect(server).toMatchObject({ schemaVersion: 1, createdAt: '2026-11-20T00:00:00.000Z' });
    expect(new Set([server.token, server.signingKey, server.installationId]).size).toBe(3);
    expect(modeOf(folder)).toBe(0o700);
    expect(modeOf(path.join(folder, 'server.json'))).toBe(0o600);
  });

  it('keeps keys and port over restarts', async () => {
    const folder = temporaryFolder();
    const first = await openDataDir(folder, NOW);
    await first.rememberPort(4567);

    const second = await openDataDir(folder, NOW + 1000);

    expect(second.server()).toEqual({ ...first.server(), port: 4567 });
  });

  it('signs with a new key when it is told to, keeps the one before it, and changes neither by itself', async () => {
    const folder = temporaryFolder();
    const first = (await openDataDir(folder, NOW)).server();
    const rotated = (await openDataDir(folder, NOW, { rotateSigningKey: true })).server();
    expect(rotated).toEqual({ ...first, signingKey: expect.any(String), previousSigningKey: first.signingKey });
    expect(rotated.signingKey).not.toBe(first.signingKey);
    expect((await openDataDir(folder, NOW)).server()).toEqual(rotated);
    const again = (await openDataDir(folder, NOW, { rotateSigningKey: true })).server();
    expect(again.previousSigningKey).toBe(rotated.signingKey);
  });

  it('refuses a folder that a newer Candor has used, and says what to do', async () => {
    const folder = temporaryFolder();
    writeFileSync(path.join(folder, 'server.json'), JSON.stringify({ schemaVersion: 2, anything: true }));

    await expect(openDataDir(folder, NOW)).rejects.toMatchObject({
      name: 'LocalSetupError',
      message: expect.stringContaining('schema version 2'),
      remedy: expect.stringContaining('newer Candor'),
    });
  });

  it.each([
    ['no JSON', '{"schemaVersion": 1, "tok'],
    ['another shape', '{"schemaVersion": 1}'],
    ['an empty file', ''],
  ])('names server.json when it is damaged (%s), and leaves it as it is', async (_kind, content) => {
    const folder = temporaryFolder();
    const file = path.join(folder, 'server.json');
    writeFileSync(file, content);

    await expect(openDataDir(folder, NOW)).rejects.toThrow(`${file} is damaged`);
    expect(readFileSync(file, 'utf8')).toBe(content);
  });

  it('refuses a path that is a file, or lies below one', async () => {
    const file = path.join(temporaryFolder(), 'file');
    writeFileSync(file, '');

    await expect(openDataDir(file, NOW)).rejects.toThrow(`${file} cannot be made: a file is in its place`);
    await expect(openDataDir(path.join(file, 'below'), NOW)).rejects.toThrow('a file is in its place');
  });

  it('refuses a folder that cannot be written', async () => {
    // /sys takes no folders, not even from root, to whom the modes of ordinary folders mean nothing.
    await expect(openDataDir('/sys/candor', NOW)).rejects.toThrow('the data folder /sys/candor cannot be used');
  });

  it('tells clients where the server is, until a clean stop of that server', async () => {
    const folder = temporaryFolder();
    const dataDir = await openDataDir(folder, NOW);
    const file = path.join(folder, 'endpoint.json');
    const endpoint = { url: 'http://127.0.0.1:4567', token: dataDir.server().token, pid: 4711 };

    await dataDir.publishEndpoint(endpoint);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(endpoint);
    expect(modeOf(file)).toBe(0o600);

    await dataDir.removeEndpoint(4712);
    expect(readFileSync(file, 'utf8')).toContain('4711');
    await dataDir.removeEndpoint(4711);
    expect(() => statSync(file)).toThrow('ENOENT');
  });

  it('opens a folder that was there before, and closes it to others', async () => {
    const folder = path.join(temporaryFolder(), 'open');
    mkdirSync(folder, { mode: 0o755 });

    await openDataDir(folder, NOW);

    expect(modeOf(folder)).toBe(0o700);
  });
});
