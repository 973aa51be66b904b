import { describe, expect, it } from 'vitest';
import { acquireLock, DataDirInUse } from '../../../adapters/local/lock.ts';
import { identify, sendSignal } from '../../../adapters/local/procfs.ts';
import { afterThisTest, eventually, startProgram, temporaryFolder } from './support.ts';

describe('the lock of a data folder', () => {
  it('is refused to a second process, and the refusal names the folder and the pid of the first', async () => {
    const folder = temporaryFolder();
    const holder = await startProgram('holdLock.ts', folder);
    afterThisTest(() => sendSignal(Number(holder.ready.childPid), 'SIGKILL'));

    const refusal = await acquireLock(folder).catch((error: unknown) => error);

    expect(refusal).toBeInstanceOf(DataDirInUse);
    expect(refusal).toMatchObject({
      message: `the data folder ${folder} is in use by candor dev, pid ${holder.pid} (http://127.0.0.1:4321)`,
      holder: { pid: holder.pid, url: 'http://127.0.0.1:4321' },
    });
  });

  it('is free again after its holder was killed, while a child of the holder still lives', async () => {
    const folder = temporaryFolder();
    const holder = await startProgram('holdLock.ts', folder);
    const childPid = Number(holder.ready.childPid);
    afterThisTest(() => sendSignal(childPid, 'SIGKILL'));

    holder.child.kill('SIGKILL');
    const lock = await eventually(() => acquireLock(folder));

    expect(identify(childPid)).toBeDefined();
    await lock.release();
  });

  it('is refused to the same process, and free after its release', async () => {
    const folder = temporaryFolder();
    const lock = await acquireLock(folder);

    await expect(acquireLock(folder)).rejects.toThrow(`in use by candor dev, pid ${process.pid}`);
    await lock.release();

    const again = await acquireLock(folder);
    await again.release();
  });

  it('is one lock per folder', async () => {
    const locks = await Promise.all([acquireLock(temporaryFolder()), acquireLock(temporaryFolder())]);
    await Promise.all(locks.map((lock) => lock.release()));
  });
});
