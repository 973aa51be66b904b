/** One Lambda of `lambdas/`: its code, its own role, its own log. It starts with no right but to write that log. */
import { Duration } from 'aws-cdk-lib';
import { Effect, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, Code, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { bundleLambdas } from '../bundle/lambdas.ts';
import type { CandorStack } from '../stacks/candorStack.ts';

/** How often Lambda tries again, for how long, and where it gives up. */
interface Asynchronous {
  readonly retries: number;
  readonly maxAgeSeconds: number;
  readonly failures?: Queue;
}

export interface CandorFunctionOptions {
  /** The handler's file in `lambdas/`, without its ending. */
  readonly name: string;
  readonly description: string;
  readonly timeoutSeconds: number;
  readonly memoryMiB?: number;
  /** Of functions whose caller does not wait. */
  readonly asynchronous?: Asynchronous;
}

export class CandorFunction extends Construct {
  readonly role: Role;
  readonly lambda: LambdaFunction;
  readonly logGroup: LogGroup;

  constructor(stack: CandorStack, options: CandorFunctionOptions) {
    super(stack, `${options.name}-function`);
    const { id } = stack.installation;
    const functionName = `${id}-${options.name}`;
    this.logGroup = new LogGroup(this, 'Log', {
      logGroupName: `/aws/lambda/${functionName}`,
      retention: stack.logRetention,
      removalPolicy: stack.dataRemoval,
    });
    this.role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      description: `Candor ${id}: ${options.name}`,
    });
    this.allow('WriteItsLog', ['logs:CreateLogStream', 'logs:PutLogEvents'], [this.logGroup.logGroupArn]);
    this.lambda = new LambdaFunction(this, 'Function', {
      functionName,
      description: options.description,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      handler: 'index.handler',
      code: Code.fromAsset(bundleLambdas().folderOf(options.name)),
      memorySize: options.memoryMiB ?? 512,
      timeout: Duration.seconds(options.timeoutSeconds),
      role: this.role,
      logGroup: this.logGroup,
    });
    if (options.asynchronous !== undefined) this.makeAsynchronous(options.asynchronous);
  }

  private makeAsynchronous({ retries, maxAgeSeconds, failures }: Asynchronous): void {
    // CDK's own destination would give rights to read the queue's attributes too.
    if (failures !== undefined) this.allow('GiveUp', ['sqs:SendMessage'], [failures.queueArn]);
    this.lambda.configureAsyncInvoke({
      retryAttempts: retries,
      maxEventAge: Duration.seconds(maxAgeSeconds),
      ...(failures !== undefined && { onFailure: { bind: () => ({ destination: failures.queueArn }) } }),
    });
  }

  /** A right, in the function's own policy. */
  allow(
    sid: string,
    actions: readonly string[],
    resources: readonly string[],
    conditions?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>,
  ): void {
    this.role.addToPolicy(
      new PolicyStatement({
        sid,
        effect: Effect.ALLOW,
        actions: [...actions],
        resources: [...resources],
        ...(conditions !== undefined && { conditions }),
      }),
    );
  }

  set(variables: Readonly<Record<string, string>>): void {
    for (const [name, value] of Object.entries(variables)) this.lambda.addEnvironment(name, value);
  }
}
