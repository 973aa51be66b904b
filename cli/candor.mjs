#!/usr/bin/env node
/**
 * Starts the `candor` command. The rest is TypeScript, which Node runs as it is from 22.18 on; on an older Node this file
 * hands over to the Node that the project has installed from npm. It stays plain JavaScript, so that any Node can read it.
 */
import { spawn } from 'node:child_process';
import { realpathSync } from 'node:fs';
import nodeModule, { createRequire } from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const OLDEST = [22, 18];
const EXIT_USAGE = 2;
const launcher = fileURLToPath(import.meta.url);

const runsTypeScript = () => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
};

/** The binary of the npm package `node`, unless it is the one that runs this. */
function installedNode() {
  try {
    const binary = realpathSync(createRequire(import.meta.url).resolve('node/bin/node'));
    return binary === realpathSync(process.execPath) ? undefined : binary;
  } catch {
    return undefined;
  }
}

function handOver(binary) {
  const args = [launcher, ...process.argv.slice(2)];
  // Replacing the process keeps its pid: signals and the exit code need no passing on. Old versions of Node cannot.
  if (typeof process.execve === 'function') process.execve(binary, [binary, ...args]);
  const child = spawn(binary, args, { stdio: 'inherit' });
  const onTerminal = [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY);
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT']) {
    process.on(signal, () => {
      // A terminal sends Ctrl-C to the child as well; passed on, it would arrive twice and mean "at once".
      if (signal !== 'SIGINT' || !onTerminal) child.kill(signal);
    });
  }
  child.on('error', (error) => {
    console.error(`candor: ${binary} could not be started: ${error.message}`);
    process.exitCode = EXIT_USAGE;
  });
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
  });
}

if (runsTypeScript()) {
  // Early versions warn about each start with TypeScript; whoever uses the command can do nothing about it.
  const emitWarning = process.emitWarning;
  process.emitWarning = (warning, ...rest) => {
    if (!String(warning).startsWith('Type Stripping is')) emitWarning.call(process, warning, ...rest);
  };
  // Half of a short command's time is reading the same sources again. The cache lies with the project and not in the
  // machine's /tmp, where another user could have made the folder; where it cannot be written, nothing is cached.
  nodeModule.enableCompileCache?.(fileURLToPath(new URL('../node_modules/.cache/candor', import.meta.url)));
  const { main } = await import('./main.ts');
  process.exitCode = await main(process.argv.slice(2));
} else {
  const binary = installedNode();
  if (binary !== undefined) handOver(binary);
  else {
    console.error(
      `candor: it needs Node.js ${OLDEST.join('.')} or newer, and this is ${process.versions.node}.\n` +
        `  Remedy: run \`npm install\` in ${fileURLToPath(new URL('..', import.meta.url))} (it brings its own Node), or install a newer Node.js.`,
    );
    process.exitCode = EXIT_USAGE;
  }
}
