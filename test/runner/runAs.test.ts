/** Agents' processes as another user than the runner: root only, as on a VM. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lookUpUser } from '../../runner/runAs.ts';
import { sh, Vm } from './harness.ts';

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

let vm: Vm;
beforeEach(async () => {
  vm = await Vm.create();
  fs.chmodSync(vm.root, 0o711);
});
afterEach(async () => {
  const { problems } = vm.server;
  await vm.dispose();
  expect(problems).toEqual([]);
});

const start = () => vm.startRunner({ args: ['--agent-user', 'nobody'] });

describe.runIf(isRoot)('a run as another user', () => {
  it("has its own files and no others, and none of root's groups", async () => {
    start();
    const script = [
      'id -u; id -G',
      'cat > got; cat $CANDOR_INPUT; echo; echo to-the-file > /dev/stdout',
      'echo \'{"fine":true}\' > $CANDOR_OUTPUT; echo art > $CANDOR_ARTIFACTS/a.txt',
      `cat ${vm.dir}/journal.ndjson ${vm.dir}/runner.json $CANDOR_INPUT/../plan.json 2>/dev/null && echo READ`,
      `ls ${vm.dir} 2>/dev/null && echo LISTED`,
      'kill -0 $PPID 2>/dev/null && echo REACHED',
      'echo $HOME $USER',
      'true',
    ];
    vm.run('run_a', sh(script.join('\n')), { input: 'the input' });
    expect(await vm.reached('run_a', 'ended')).toMatchObject({
      exitCode: 0,
      output: { fine: true },
      artifacts: [{ path: 'a.txt' }],
    });
    const { home } = lookUpUser('nobody');
    expect(vm.server.text('run_a', 'stdout').split('\n')).toEqual([
      String(NOBODY),
      String(NOBODY),
      'the input',
      'to-the-file',
      `${home} nobody`,
      '',
    ]);
    expect(vm.server.artifacts.get('run_a.1/a.txt')?.toString()).toBe('art\n');
  });

  it('does its setup and its checkout as that user too', async () => {
    const origin = vm.file('origin');
    fs.mkdirSync(origin);
    const git = (...args: string[]) =>
      execFileSync('git', ['-C', origin, '-c', 'user.name=t', '-c', 'user.email=t@t', ...args]);
    git('init', '--quiet', '--initial-branch=main');
    fs.writeFileSync(path.join(origin, 'file'), 'checked out\n');
    git('add', '.');
    git('commit', '--quiet', '-m', 'first');
    execFileSync('chown', ['-R', 'nobody', origin]);
    start();
    vm.run('run_a', sh('cat file; cat ../../../shared/made; stat -c %u file .'), {
      setup: { commands: [['/bin/sh', '-c', 'id -u > made']], timeoutMs: 10_000 },
      repository: { url: `file://${origin}`, ref: 'main', timeoutMs: 20_000 },
    });
    expect(await vm.reached('run_a', 'ended')).toMatchObject({ exitCode: 0 });
    const uid = String(NOBODY);
    expect(vm.server.text('run_a', 'stdout').split('\n')).toEqual(['checked out', uid, uid, uid, '']);
  });

  it('cannot have the runner read for it what it may not read itself', async () => {
    fs.writeFileSync(vm.file('secret'), 'for root only', { mode: 0o600 });
    start();
    vm.run('run_a', sh(`ln -s ${vm.file('secret')} $CANDOR_OUTPUT; ln -s ${vm.file('secret')} $CANDOR_ARTIFACTS/a`));
    const ended = await vm.reached('run_a', 'ended');
    expect(ended.output).toBeUndefined();
    expect(ended.detail).toContain('CANDOR_OUTPUT is a link');
    expect([...vm.server.artifacts.values()]).toEqual([]);
  });
});

describe('the user of agents', () => {
  it.each([
    ['who', 'there is no such user'],
    ['root', 'do not run as root'],
  ])('%s is refused', (user, why) => {
    expect(() => lookUpUser(user, 'root:x:0:0:root:/root:/bin/sh\nme:x:7:7::/:/bin/sh\n')).toThrow(why);
  });
});
