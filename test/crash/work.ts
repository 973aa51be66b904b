/**
 * The agent of the crash tests. It does what its input orders and leaves a witness outside of Candor's reach, which it
 * syncs itself: whatever is killed, what stands there has happened.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Orders {
  /** Names the order, also where nobody learnt which run came of it. */
  readonly tag: string;
  readonly witness: string;
  readonly workMs: number;
  readonly lines: number;
  readonly exitCode: number;
  /** Leaves a process behind that has a session of its own and would outlive the work by far. */
  readonly grandchild: boolean;
  /** Ends with this code on SIGINT instead of being ended by it. */
  readonly interruptCode?: number;
}

const orders = JSON.parse(fs.readFileSync(0, 'utf8')) as Orders;
const { CANDOR_RUN_ID: runId, CANDOR_ATTEMPT: attempt } = process.env;
const { CANDOR_OUTPUT: output = '', CANDOR_ARTIFACTS: artifacts = '' } = process.env;
const witness = fs.openSync(orders.witness, 'a');

function say(event: string, detail: number): void {
  // One write to a file that was opened to append: lines of several runs never mix.
  fs.writeSync(witness, `${event} ${runId} ${attempt} ${detail} ${Date.now()} ${orders.tag}\n`);
  fs.fsyncSync(witness);
}

if (orders.interruptCode !== undefined) {
  const code = orders.interruptCode;
  process.on('SIGINT', () => {
    say('end', code);
    process.exit(code);
  });
}
say('start', process.pid);
// Not for ever: where its shim died too early nobody can tell it from the work, and the run lasts as long as it does.
if (orders.grandchild) spawn('sleep', ['12'], { detached: true, stdio: 'ignore' }).unref();
for (let line = 1; line <= orders.lines; line++) process.stdout.write(`${orders.tag} line ${line}\n`);
if (orders.lines > 0) fs.writeFileSync(path.join(artifacts, 'report.txt'), orders.tag);
await sleep(orders.workMs);
fs.writeFileSync(output, JSON.stringify({ tag: orders.tag, attempt: Number(attempt) }));
say('end', orders.exitCode);
process.exit(orders.exitCode);
