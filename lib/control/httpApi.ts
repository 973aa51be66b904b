/** The door: runners register with their instance's signature, everything else brings a token that the API itself checks. */
import { CfnOutput, Duration } from 'aws-cdk-lib';
import { AccessLogField, AccessLogFormat } from 'aws-cdk-lib/aws-apigateway';
import {
  CfnStage,
  DomainName,
  HttpApi,
  HttpMethod,
  HttpRoute,
  HttpRouteKey,
  HttpStage,
  LogGroupLogDestination,
  SecurityPolicy,
} from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { Effect, Policy, PolicyStatement, type Role } from 'aws-cdk-lib/aws-iam';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import type { CandorStack } from '../stacks/candorStack.ts';
import type { CandorFunction } from './function.ts';

const REGISTER_PATH = '/runner/v1/register';
/** The API for callers with AWS credentials: `execute-api:Invoke` lets them through, their principal says what they may. */
const SIGNED_PATH = '/iam/v1/{proxy+}';
/** What runners send, beside their registration: it has its share of what is let through, which no client uses up. */
const RUNNERS_PATH = '/runner/v1/{proxy+}';
/** API Gateway gives up after 30 seconds; the API's own long polls last up to 20. */
const INTEGRATION_SECONDS = 29;

export interface Door {
  readonly api: HttpApi;
  readonly url: string;
  readonly accessLog: LogGroup;
}

export function createDoor(stack: CandorStack, api: CandorFunction, register: CandorFunction): Door {
  const { installation } = stack;
  const { domain } = installation.config;
  const httpApi = new HttpApi(stack, 'Api', {
    apiName: installation.id,
    description: `Candor ${installation.id}`,
    createDefaultStage: false,
    // With a name of its own it has one address, not two.
    disableExecuteApiEndpoint: domain !== undefined,
  });
  const integration = (name: string, target: CandorFunction) =>
    new HttpLambdaIntegration(name, target.lambda, { timeout: Duration.seconds(INTEGRATION_SECONDS) });
  httpApi.addRoutes({
    path: REGISTER_PATH,
    methods: [HttpMethod.POST],
    integration: integration('Register', register),
    authorizer: new HttpIamAuthorizer(),
  });
  httpApi.addRoutes({
    path: SIGNED_PATH,
    methods: [HttpMethod.ANY],
    integration: integration('SignedApi', api),
    authorizer: new HttpIamAuthorizer(),
  });
  const runners = httpApi.addRoutes({
    path: RUNNERS_PATH,
    methods: [HttpMethod.ANY],
    integration: integration('Runners', api),
  });
  new HttpRoute(stack, 'EverythingElse', {
    httpApi,
    routeKey: HttpRouteKey.DEFAULT,
    integration: integration('Api', api),
  });
  const url = domain === undefined ? httpApi.apiEndpoint : `https://${domain.name}`;
  const accessLog = createStage(stack, httpApi, runners);
  new CfnOutput(stack, 'ApiUrl', { value: url });
  return { api: httpApi, url, accessLog };
}

function createStage(stack: CandorStack, httpApi: HttpApi, runners: readonly HttpRoute[]): LogGroup {
  const { domain, throttle } = stack.installation.config;
  const logGroup = new LogGroup(stack, 'AccessLog', {
    logGroupName: `/aws/vendedlogs/apigateway/${stack.installation.id}`,
    retention: stack.logRetention,
    removalPolicy: stack.dataRemoval,
  });
  const field = AccessLogField;
  // Who, what and how it went: neither headers, which carry tokens, nor query strings.
  const format = {
    requestId: field.contextRequestId(),
    time: field.contextRequestTime(),
    sourceIp: field.contextIdentitySourceIp(),
    caller: '$context.identity.userArn',
    method: field.contextHttpMethod(),
    path: field.contextPath(),
    status: field.contextStatus(),
    bytes: field.contextResponseLength(),
    latencyMs: field.contextResponseLatency(),
    integrationError: field.contextIntegrationErrorMessage(),
  };
  const domainName =
    domain === undefined
      ? undefined
      : new DomainName(stack, 'Domain', {
          domainName: domain.name,
          certificate: Certificate.fromCertificateArn(stack, 'Certificate', domain.certificateArn),
          securityPolicy: SecurityPolicy.TLS_1_2,
        });
  if (domainName !== undefined)
    new CfnOutput(stack, 'DomainTarget', {
      value: domainName.regionalDomainName,
      description: 'Point a CNAME or alias record of the domain here',
    });
  const rateLimit = Math.ceil(throttle.requestsPerSecond / 2);
  const burstLimit = Math.ceil(throttle.burst / 2);
  const stage = new HttpStage(stack, 'Stage', {
    httpApi,
    stageName: '$default',
    autoDeploy: true,
    throttle: { rateLimit, burstLimit },
    accessLogSettings: {
      destination: new LogGroupLogDestination(logGroup),
      format: AccessLogFormat.custom(JSON.stringify(format)),
    },
    ...(domainName !== undefined && { domainMapping: { domainName } }),
  });
  const { defaultChild } = stage.node;
  if (!(defaultChild instanceof CfnStage)) throw new Error('the stage is no resource of API Gateway');
  defaultChild.routeSettings = {
    [`ANY ${RUNNERS_PATH}`]: { ThrottlingRateLimit: rateLimit, ThrottlingBurstLimit: burstLimit },
  };
  // Settings of a route that is not there yet are refused.
  stage.node.addDependency(...runners);
  return logGroup;
}

/** The one call that a VM may sign. It stands here because the API does, and the role is older than the API. */
export function allowRegistration(stack: CandorStack, door: Door, vmRole: Role): void {
  const { partition, region, account } = stack;
  const policy = new Policy(stack, 'RegisterPolicy', {
    statements: [
      new PolicyStatement({
        sid: 'Register',
        effect: Effect.ALLOW,
        actions: ['execute-api:Invoke'],
        resources: [
          `arn:${partition}:execute-api:${region}:${account}:${door.api.apiId}/$default/POST${REGISTER_PATH}`,
        ],
      }),
    ],
  });
  policy.attachToRole(vmRole);
}
