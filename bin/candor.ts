/** `cdk deploy --all -c env=NAME`: reads the environment's configuration and lists its stacks. */
import { App } from 'aws-cdk-lib';
import { ConfigError, environmentNamed } from '../config/environments.ts';
import { addStacks } from '../lib/app.ts';

const app = new App();
const name: unknown = app.node.tryGetContext('env');
try {
  addStacks(app, String(name), environmentNamed(name));
  app.synth();
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
