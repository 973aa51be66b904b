/** What a run leaves behind, and how it is read once its VM is gone. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import type { Scenario } from '../scenario.ts';
import { witnessed } from '../world.ts';

/** Above 1 MiB a runner asks where a file is wanted; and no whole number of blocks. */
const BYTES = 3 * 1024 * 1024 + 17;
const LINES = 2000;
const NAME = 'reports/large file.bin';

const sha256Of = (content: Buffer) => createHash('sha256').update(content).digest('hex');

const largeArtifact: Scenario = {
  name: 'a 3 MiB artifact goes to S3 by a presigned link: it and the logs are read unchanged after the VM is gone',
  smoke: true,
  async play(world) {
    const content = randomBytes(BYTES);
    const from = world.file('large.bin');
    fs.writeFileSync(from, content);
    // The first answer of S3 is lost: the runner sends the file once more.
    const effect = { kind: 'cut', applied: true } as const;
    const when = ({ body }: { readonly body: Buffer }) => body.equals(content);
    const fault = world.proxy.faults.order({ service: 's3', action: 'PutObject', when, times: 1, effect });
    const orders = world.orders({ lines: LINES, artifact: { from, name: NAME } });
    const run = await world.ended(await world.run(await world.worker(), orders));
    assert.equal(run.status, 'succeeded', JSON.stringify(run));
    assert.equal(fault.met(), 1, 'it went to S3 past the API');
    assert.deepEqual(witnessed(orders), ['start', 'end 0']);
    await world.vmGone(run);

    const { artifacts } = await world.getRun(run);
    assert.deepEqual(artifacts, [{ path: NAME, bytes: BYTES, sha256: sha256Of(content) }]);
    const answer = await world.download(`/v1/runs/${run.id}/artifacts/content?path=${encodeURIComponent(NAME)}`);
    assert.ok(answer.equals(content), 'the API leads to the very bytes');
    const file = world.file('downloaded.bin');
    await world.cli('runs', 'artifact', run.id, NAME, '--output', file);
    assert.equal(sha256Of(fs.readFileSync(file)), sha256Of(content));

    const said = Array.from({ length: 2 * LINES }, (_, index) => `line ${index + 1}\n`).join('');
    assert.equal(await world.stdout(run), said);
    assert.equal(await world.cli('runs', 'logs', run.id), said);
  },
};

export const resultScenarios: readonly Scenario[] = [largeArtifact];
