/** Where VMs stand: a VPC of our own, or subnets that are there already. No way in, in either. */
import type { Stack } from 'aws-cdk-lib';
import {
  FlowLogDestination,
  FlowLogTrafficType,
  GatewayVpcEndpointAwsService,
  InterfaceVpcEndpointAwsService,
  IpAddresses,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import type { EnvironmentConfig } from '../../config/schema.ts';
import type { CandorStack } from '../stacks/candorStack.ts';

// CDK's own classes are not assignable to its interfaces under `exactOptionalPropertyTypes`: hence `as IVpc` below.

export interface Network {
  readonly vpc: IVpc;
  readonly subnets: readonly { readonly subnetId: string; readonly availabilityZone: string }[];
  /** Whether instances get a public address, without which they would reach nothing. */
  readonly publicAddresses: boolean;
  readonly securityGroup: SecurityGroup;
}

type NetworkConfig = EnvironmentConfig['network'];
type Created = Extract<NetworkConfig, { kind: 'created' }>;
type Imported = Extract<NetworkConfig, { kind: 'imported' }>;

export function createNetwork(stack: CandorStack): Network {
  const { network } = stack.installation.config;
  const placed = network.kind === 'created' ? created(stack, network) : imported(stack, network);
  const securityGroup = new SecurityGroup(stack, 'VmSecurityGroup', {
    vpc: placed.vpc,
    description: 'Candor VMs: nothing comes in',
    allowAllOutbound: true,
  });
  return { ...placed, securityGroup };
}

function created(stack: CandorStack, config: Created): Omit<Network, 'securityGroup'> {
  const isPrivate = config.natGateways > 0;
  const vpc = new Vpc(stack, 'Vpc', {
    ipAddresses: IpAddresses.cidr(config.cidr),
    availabilityZones: config.availabilityZones,
    natGateways: config.natGateways,
    subnetConfiguration: isPrivate
      ? [
          { name: 'nat', subnetType: SubnetType.PUBLIC, cidrMask: 26, mapPublicIpOnLaunch: false },
          { name: 'vm', subnetType: SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 20 },
        ]
      : [{ name: 'vm', subnetType: SubnetType.PUBLIC, cidrMask: 20, mapPublicIpOnLaunch: false }],
    // It would take a Lambda of its own to empty a group that nothing of ours is in.
    restrictDefaultSecurityGroup: false,
    // The way to the runner's and Node's archives costs nothing and leaves AWS's network nowhere.
    gatewayEndpoints: { s3: { service: GatewayVpcEndpointAwsService.S3 } },
  });
  addInterfaceEndpoints(stack, vpc, config);
  if (stack.installation.config.production)
    vpc.addFlowLog('Rejected', {
      destination: FlowLogDestination.toCloudWatchLogs(
        new LogGroup(stack, 'FlowLogs', { retention: stack.logRetention, removalPolicy: stack.dataRemoval }),
      ),
      trafficType: FlowLogTrafficType.REJECT,
    });
  const subnets = isPrivate ? vpc.privateSubnets : vpc.publicSubnets;
  return {
    vpc: vpc as IVpc,
    subnets: subnets.map(({ subnetId, availabilityZone }) => ({ subnetId, availabilityZone })),
    publicAddresses: !isPrivate,
  };
}

function addInterfaceEndpoints(stack: Stack, vpc: Vpc, config: Created): void {
  if (config.interfaceEndpoints.length === 0) return;
  const securityGroup = new SecurityGroup(stack, 'EndpointSecurityGroup', {
    vpc: vpc as IVpc,
    description: 'Candor: endpoints of AWS services, for HTTPS from the VPC',
    allowAllOutbound: false,
  });
  securityGroup.addIngressRule(Peer.ipv4(vpc.vpcCidrBlock), Port.tcp(443), 'HTTPS from the VPC');
  for (const name of config.interfaceEndpoints)
    vpc.addInterfaceEndpoint(`Endpoint-${name}`, {
      service: new InterfaceVpcEndpointAwsService(name),
      securityGroups: [securityGroup],
      open: false,
    });
}

function imported(stack: Stack, config: Imported): Omit<Network, 'securityGroup'> {
  const vpc = Vpc.fromVpcAttributes(stack, 'Vpc', {
    vpcId: config.vpcId,
    availabilityZones: [...new Set(config.subnets.map((subnet) => subnet.availabilityZone))],
  });
  return { vpc, subnets: config.subnets, publicAddresses: config.publicAddresses };
}
