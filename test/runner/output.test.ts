import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readOutput } from '../../runner/collect.ts';
import { LogUpload, type UploadDoor } from '../../runner/upload.ts';

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'candor-output-'));
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

describe('the output', () => {
  const file = () => path.join(folder, 'output');

  it('is absent if nothing was written, and empty text if nothing is in it', () => {
    expect(readOutput(file(), 10)).toEqual({});
    fs.writeFileSync(file(), '');
    expect(readOutput(file(), 10)).toEqual({ output: '' });
  });

  it('is JSON if it parses, up to the limit exactly', () => {
    fs.writeFileSync(file(), '{"a":[1]}\n');
    expect(readOutput(file(), 10)).toEqual({ output: { a: [1] } });
    expect(readOutput(file(), 9)).toEqual({ output: '{"a":[1]}', outputTruncatedBytes: 1 });
  });

  it('stays text where it is nested so deeply that readers would break on it', () => {
    const text = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
    fs.writeFileSync(file(), text);
    expect(readOutput(file(), 1_000_000)).toEqual({ output: text });
  });

  it('is not waited for on a named pipe, nor read from a folder', () => {
    execFileSync('mkfifo', [file()]);
    expect(readOutput(file(), 10)).toEqual({ remark: 'CANDOR_OUTPUT is not a file.' });
    fs.rmSync(file());
    fs.mkdirSync(file());
    expect(readOutput(file(), 10)).toEqual({ remark: 'CANDOR_OUTPUT is not a file.' });
  });
});

describe('the upload of logs', () => {
  const line = (text: string) => `${JSON.stringify({ atMs: 0, stream: 'stdout', text })}\n`;
  const write = (text: string) => fs.appendFileSync(path.join(folder, 'capture.ndjson'), text);
  const sent: [number, string][] = [];
  const texts = (body: Buffer) =>
    (JSON.parse(body.toString()) as { records: { text: string }[] }).records.map(({ text }) => text).join('');
  const door = (stored: () => boolean, ms = 60_000): UploadDoor => ({
    put: async (chunk, body) => {
      sent.push([chunk, texts(body)]);
      return stored() ? 'stored' : 'failed';
    },
    reachable: () => true,
    patience: () => ({ ms, whileUnreachable: false }),
  });
  beforeEach(() => {
    sent.length = 0;
  });

  it('sends the same content under the same number after a restart, though more has been captured', async () => {
    write(line('one'));
    const first = new LogUpload(
      folder,
      door(() => false, 0),
    );
    expect(await first.drain()).toBe(line('one').length);
    write(line('two'));
    const second = new LogUpload(
      folder,
      door(() => true),
    );
    expect(await second.drain()).toBe(0);
    expect(sent).toEqual([
      [0, 'one'],
      [0, 'one'],
      [1, 'two'],
    ]);
    expect(second.stored).toBe(2);
  });

  it('says how many bytes it could not store when its time is up', async () => {
    write(line('one'));
    const upload = new LogUpload(
      folder,
      door(() => sent.length === 1, 300),
    );
    expect(await upload.drain()).toBe(0);
    write(line('two') + line('three'));
    expect(await upload.drain()).toBe((line('two') + line('three')).length);
    expect(upload.stored).toBe(1);
    expect(sent.length).toBeGreaterThan(2);
  });

  it('is given up at once where the server will never take it', async () => {
    write(line('one'));
    const upload = new LogUpload(folder, {
      ...door(() => true),
      put: async (chunk, body) => {
        sent.push([chunk, texts(body)]);
        return 'refused';
      },
    });
    upload.poke();
    expect(await upload.drain()).toBe(line('one').length);
    expect(upload.stored).toBe(0);
    upload.poke();
    expect(sent.length).toBeLessThan(3);
  });

  it('waits for as long as it takes while the server is away altogether', async () => {
    write(line('one'));
    let tries = 0;
    const upload = new LogUpload(folder, {
      ...door(() => {
        tries += 1;
        return tries > 3;
      }, 0),
      reachable: () => false,
    });
    expect(await upload.drain()).toBe(0);
    expect(tries).toBe(4);
  });

  it('leaves out a line that a dying shim has torn, and keeps to the bounds of a chunk', async () => {
    const lines = Array.from({ length: 6000 }, (_, index) => line(String(index % 10)));
    write(`${lines.join('')}{"atMs":1,"stre`);
    const upload = new LogUpload(
      folder,
      door(() => true),
    );
    expect(await upload.drain()).toBe(0);
    expect(sent.map(([, text]) => text.length)).toEqual([5000, 1000]);
  });
});
