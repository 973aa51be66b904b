/**
 * What cdk-nag, cfn-lint and checkov find and we mean to keep, each with its reason. A finding that is not here fails the
 * check, and so does an entry that nothing needs any more.
 */
export interface Justified {
  /** The rule's whole name, or the beginning of it. */
  readonly rule: RegExp;
  /** Where: the construct's path, or the template and logical id. */
  readonly at: RegExp;
  readonly because: string;
}

export const NAG: readonly Justified[] = [
  {
    rule: /^AwsSolutions-S1$/,
    at: /-data\/Bucket\//,
    because:
      'Nobody but the API function reads or writes objects, and each of its calls is in the API’s access log. Server access logs would be a second bucket with the same question.',
  },
  {
    rule: /^AwsSolutions-SMG4$/,
    at: /-data\/(SigningKey|SealingKey|AdminToken)\//,
    because:
      'Rotating the signing key by the calendar would cut every live VM off, and the sealing key every webhook. docs/deploy.md says how the others are rotated by hand.',
  },
  {
    rule: /^AwsSolutions-VPC7$/,
    at: /-fleet\/Vpc\//,
    because: 'Flow logs cost by the gigabyte; production has them, and other environments do without.',
  },
  {
    rule: /^AwsSolutions-IAM4\[Policy::.*AmazonSSMManagedInstanceCore\]$/,
    at: /-fleet\/VmRole\//,
    because: 'AWS keeps what Systems Manager’s agent needs in this policy; only where vm.ssm asks for it.',
  },
  {
    rule: /^AwsSolutions-IAM5\[Resource::arn:aws:s3:::cdk-.*-assets-.*\/\*\]$/,
    at: /-fleet\/VmRole\//,
    because:
      'A VM may boot from a launch template of before this deployment, or of one that was rolled back, whose objects have other names. Only root on a VM has the right, to what is deployed.',
  },
  {
    rule: /^AwsSolutions-SQS3$|^Serverless-SQSRedrivePolicy$/,
    at: /-control\/[\w-]+-dead-letters\//,
    because: 'They are the dead-letter queues, of services that are no queues.',
  },
  {
    rule: /^AwsSolutions-IAM5\[Resource::\*\]$/,
    at: /-control\/[\w-]+-function\/Role\/|-control\/StateMachineRole\//,
    because:
      'ec2:Describe*, scheduler:ListSchedules, dynamodb:ListStreams and log deliveries know no narrower resource; rights.test.ts lists each such action.',
  },
  {
    rule: /^AwsSolutions-IAM5\[Resource::arn:[\w-]+:(states|scheduler|secretsmanager):.*\*\]$|^AwsSolutions-IAM5\[Resource::.*Bucket.*\/\*\]$/,
    at: /-control\/[\w-]+-function\/Role\//,
    because:
      'Executions, schedules, agents’ secrets and objects are made after the deployment, under a beginning that is this installation’s own.',
  },
  {
    rule: /^AwsSolutions-IAM5\[Resource::arn:[\w-]+:ec2:.*\]$/,
    at: /-control\/[\w-]+-function\/Role\//,
    because:
      'Instances and what hangs on them are made later; a condition ties each right to the installation’s tag (rights.test.ts). Images and their snapshots are chosen by agents.',
  },
  {
    rule: /^AwsSolutions-APIG4$/,
    at: /-control\/(EverythingElse|Api\/ANY--runner--v1--\{proxy\+\})\//,
    because:
      'Tokens of runners, runs and people are checked by the API itself, which knows what each may do; /v1/health is open.',
  },
  {
    rule: /^AwsSolutions-SF1$/,
    at: /-control\/ProvisionVm\//,
    because:
      'Every state is in the execution’s history already; a log of all events would cost more than the execution.',
  },
  {
    rule: /^AwsSolutions-SF2$|^Serverless-StepFunctionStateMachineXray$|^Serverless-LambdaTracing$/,
    at: /-control\//,
    because:
      'Candor’s own events tell what happened to a run, in order and for good. Tracing costs import time in every function, and a right on everything.',
  },
  {
    rule: /^Serverless-LambdaDLQ$/,
    at: /-control\/[\w-]+-function\//,
    because:
      'Asynchronous functions have a failure destination, which says more than a queue of the function; the others have callers that wait.',
  },
  {
    rule: /^Serverless-LambdaAsyncFailureDestination$|^Serverless-EventBusDLQ$/,
    at: /-control\/(watchdog-function|EveryMinute|audit-function|EveryQuarter)\//,
    because: 'A tick that failed is worth nothing a minute later; watchdog-dead tells of it.',
  },
  {
    rule: /^Serverless-LambdaAsyncFailureDestination$|^Serverless-EventBusDLQ$|^Serverless-LambdaEventSourceMappingDestination$/,
    at: /-control\/(deliver-function|EveryMinuteToo|DeliveryMapping)/,
    because: 'What it was to send is in the table, and due: the next minute’s call sends it.',
  },
  {
    rule: /^Serverless-SNSRedrivePolicy$/,
    at: /-ops\/(Alarms|Tickets)\//,
    because: 'Mail cannot be delivered to a queue instead; alarms stay in CloudWatch.',
  },
];

export const CFN_LINT: readonly Justified[] = [
  {
    rule: /^W3005$/,
    at: /-control\/Resources\/\w+\/DependsOn/,
    because: 'CDK names a role beside its policy, though the role alone would follow by itself. It changes nothing.',
  },
];

export const CHECKOV: readonly Justified[] = [
  {
    rule: /^CKV_AWS_(158|173|27|26|149|119)$/,
    at: /^candor-[a-z]+-(control|data|fleet|ops)\/AWS::(Logs::LogGroup|Lambda::Function|SQS::Queue|SNS::Topic|SecretsManager::Secret|DynamoDB::Table)\./,
    because:
      'All of it is encrypted, with keys of AWS. An installation’s own key (features.customerManagedKey, on in production) is for what holds people’s data: table, bucket, secrets, alarms. Logs, queues and environments hold references; none holds a secret.',
  },
  {
    rule: /^CKV_AWS_117$/,
    at: /-control\/AWS::Lambda::Function\./,
    because:
      'They talk to AWS’s own services alone; but for `deliver`, which has to reach the internet. In the VPC they would need an endpoint for each, and reach VMs as well.',
  },
  {
    rule: /^CKV_AWS_116$/,
    at: /-control\/AWS::Lambda::Function\./,
    because: 'See Serverless-LambdaDLQ above.',
  },
  {
    rule: /^CKV_AWS_115$/,
    at: /-control\/AWS::Lambda::Function\./,
    because:
      'A reserved number is taken from the account’s for good, and a new account has ten in all. VMs are limited by limits.maxConcurrentVmsPerTenant and the launch rate.',
  },
  {
    rule: /^CKV_AWS_18$/,
    at: /-data\/AWS::S3::Bucket\./,
    because: 'See AwsSolutions-S1 above.',
  },
  {
    rule: /^CKV_AWS_88$/,
    at: /^candor-(dev|emulator)-control\/AWS::EC2::LaunchTemplate\./,
    because: 'Without NAT a public address is the way out. Nothing comes in: the security group has no rule for it.',
  },
];
