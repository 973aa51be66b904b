/** What holds data, and what VMs are launched from: each claim of docs/deploy.md as a property of the template. */
import { describe, expect, it } from 'vitest';
import { tableDefinition } from '../../adapters/aws/table.ts';
import { TTL_ATTRIBUTE } from '../../core/table/garbage.ts';
import { environment, functionsOf, type Resource, textOf, userDataOf, variant } from './support.ts';

const ENVIRONMENTS = ['dev', 'staging', 'prod', 'emulator'];

describe('every environment', () => {
  it.each(ENVIRONMENTS)('%s tags all that can be tagged with its installation', (name) => {
    const stacks = environment(name);
    const tagOf = ({ Properties }: Resource): unknown => {
      const tags = Properties?.Tags;
      if (Array.isArray(tags)) return tags.find((tag) => tag.Key === 'candor:installation')?.Value;
      return tags?.['candor:installation'];
    };
    const untaggable = [
      'AWS::IAM::Policy',
      'AWS::IAM::InstanceProfile',
      'AWS::Lambda::Permission',
      'AWS::Lambda::EventInvokeConfig',
      'AWS::SQS::QueuePolicy',
      'AWS::SNS::TopicPolicy',
      'AWS::SNS::Subscription',
      'AWS::S3::BucketPolicy',
      'AWS::KMS::Alias',
      'AWS::CloudWatch::Dashboard',
      'AWS::Logs::QueryDefinition',
      'AWS::ApiGatewayV2::Route',
      'AWS::ApiGatewayV2::Integration',
      'AWS::EC2::SubnetRouteTableAssociation',
      'AWS::EC2::VPCGatewayAttachment',
      'AWS::EC2::Route',
      // Its own tags stand in `TagSpecifications`, tested below.
      'AWS::EC2::LaunchTemplate',
    ];
    for (const template of [stacks.data, stacks.fleet, stacks.control, stacks.ops])
      for (const resource of template.all().filter(({ Type }) => !untaggable.includes(Type)))
        expect([resource.id, tagOf(resource)]).toEqual([resource.id, `candor-${name}`]);
  });

  it.each(ENVIRONMENTS)('%s has no secret in any template: those are made by Secrets Manager', (name) => {
    const { data, fleet, control, ops } = environment(name);
    const secrets = data.ofType('AWS::SecretsManager::Secret');
    expect(secrets.map(({ Properties }) => Properties.Name).sort()).toEqual([
      `candor-${name}/admin-token`,
      `candor-${name}/sealing-key`,
      `candor-${name}/signing-key`,
    ]);
    for (const { Properties } of secrets) {
      expect(Properties.SecretString).toBeUndefined();
      expect(Properties.GenerateSecretString).toMatchObject({ PasswordLength: 64, ExcludePunctuation: true });
    }
    for (const template of [data, fleet, control, ops])
      expect(JSON.stringify(template.json)).not.toMatch(/resolve:secretsmanager|resolve:ssm-secure/);
  });
});

it.each(ENVIRONMENTS)('the table of %s deletes what has expired by the attribute that the core writes', (name) => {
  expect(environment(name).data.one('AWS::DynamoDB::Table').Properties.TimeToLiveSpecification).toEqual({
    AttributeName: TTL_ATTRIBUTE,
    Enabled: true,
  });
});

describe('the signing key', () => {
  it('is one by its name, so that another can be put before it', () => {
    const secrets = environment('dev').data.ofType('AWS::SecretsManager::Secret');
    const { GenerateSecretString } = secrets.find(({ Properties }) => /signing/.test(Properties.Name))!.Properties;
    expect(GenerateSecretString).toMatchObject({ SecretStringTemplate: '{"kid":"first"}', GenerateStringKey: 'key' });
  });
});

describe('the table', () => {
  const table = () => environment('dev').data.one('AWS::DynamoDB::Table').Properties;

  it('is the one that candor dev and the tests use', () => {
    const { TableName: _, ...definition } = tableDefinition('any');
    const { KeySchema, AttributeDefinitions, GlobalSecondaryIndexes, BillingMode } = table();
    const byName = (one: { AttributeName: string }, other: { AttributeName: string }) =>
      one.AttributeName.localeCompare(other.AttributeName);
    expect({ KeySchema, GlobalSecondaryIndexes, BillingMode }).toEqual({
      KeySchema: definition.KeySchema,
      GlobalSecondaryIndexes: definition.GlobalSecondaryIndexes,
      BillingMode: definition.BillingMode,
    });
    expect([...AttributeDefinitions].sort(byName)).toEqual(
      [...(definition.AttributeDefinitions as { AttributeName: string }[])].sort(byName),
    );
  });

  it('can be restored to any moment, and its stream carries what was written', () => {
    expect(table().PointInTimeRecoverySpecification).toEqual({ PointInTimeRecoveryEnabled: true });
    expect(table().StreamSpecification).toMatchObject({ StreamViewType: 'NEW_IMAGE' });
  });

  it.each([
    // Kept for good, but for a first deployment that fails: what it has made is empty, and would stand in the next one's way.
    ['staging', true, 'RetainExceptOnCreate', 'Retain'],
    ['prod', true, 'RetainExceptOnCreate', 'Retain'],
    ['dev', false, 'Delete', 'Delete'],
  ])('%s: protected against deletion %s, on removal of the stack %s', (name, protection, policy, replaced) => {
    const resource = environment(name).data.one('AWS::DynamoDB::Table');
    expect(resource.Properties.DeletionProtectionEnabled).toBe(protection);
    expect([resource.DeletionPolicy, resource.UpdateReplacePolicy]).toEqual([policy, replaced]);
    const bucket = environment(name).data.one('AWS::S3::Bucket');
    expect([bucket.DeletionPolicy, bucket.UpdateReplacePolicy]).toEqual([policy, replaced]);
    for (const secret of environment(name).data.ofType('AWS::SecretsManager::Secret'))
      expect(secret.DeletionPolicy).toBe(policy);
  });
});

describe('the bucket', () => {
  const data = () => environment('dev').data;

  it('is closed to the public, encrypted, versioned, and forgets in time', () => {
    const { Properties } = data().one('AWS::S3::Bucket');
    expect(Properties.PublicAccessBlockConfiguration).toEqual({
      BlockPublicAcls: true,
      BlockPublicPolicy: true,
      IgnorePublicAcls: true,
      RestrictPublicBuckets: true,
    });
    expect(Properties.OwnershipControls.Rules).toEqual([{ ObjectOwnership: 'BucketOwnerEnforced' }]);
    expect(JSON.stringify(Properties.BucketEncryption)).toContain('"AES256"');
    expect(Properties.VersioningConfiguration).toEqual({ Status: 'Enabled' });
    expect(Properties.LifecycleConfiguration.Rules[0]).toMatchObject({
      ExpirationInDays: 14,
      NoncurrentVersionExpiration: { NoncurrentDays: 7 },
      AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
    });
  });

  it('refuses what comes without TLS', () => {
    const statements = data().one('AWS::S3::BucketPolicy').Properties.PolicyDocument.Statement;
    expect(statements).toContainEqual(
      expect.objectContaining({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
    );
  });
});

describe('production', () => {
  it('has a key of its own over table, bucket and secrets, which is rotated', () => {
    const { data } = environment('prod');
    const key = data.one('AWS::KMS::Key');
    expect(key.Properties.EnableKeyRotation).toBe(true);
    expect(key.DeletionPolicy).toBe('RetainExceptOnCreate');
    const arn = { 'Fn::GetAtt': [key.id, 'Arn'] };
    expect(data.one('AWS::DynamoDB::Table').Properties.SSESpecification).toMatchObject({ KMSMasterKeyId: arn });
    expect(JSON.stringify(data.one('AWS::S3::Bucket').Properties.BucketEncryption)).toContain(JSON.stringify(arn));
    for (const secret of data.ofType('AWS::SecretsManager::Secret')) expect(secret.Properties.KmsKeyId).toEqual(arn);
  });

  it('refuses to be deleted, and logs what its network turns away', async () => {
    const { readFileSync } = await import('node:fs');
    const { outdir, fleet } = environment('prod');
    const { artifacts } = JSON.parse(readFileSync(`${outdir}/manifest.json`, 'utf8'));
    for (const part of ['data', 'fleet', 'control', 'ops'])
      expect(artifacts[`candor-prod-${part}`].properties.terminationProtection).toBe(true);
    expect(fleet.one('AWS::EC2::FlowLog').Properties.TrafficType).toBe('REJECT');
  });
});

describe('the launch template', () => {
  const template = () => environment('dev').control.one('AWS::EC2::LaunchTemplate').Properties;
  const data = () => template().LaunchTemplateData;

  it('wants tokens for the metadata, one hop away, and shows the instance its tags', () => {
    expect(data().MetadataOptions).toEqual({
      HttpEndpoint: 'enabled',
      HttpTokens: 'required',
      HttpPutResponseHopLimit: 1,
      HttpProtocolIpv6: 'disabled',
      InstanceMetadataTags: 'enabled',
    });
  });

  it('terminates what powers itself off', () => {
    expect(data().InstanceInitiatedShutdownBehavior).toBe('terminate');
  });

  it('encrypts the volume and takes it away with the instance', () => {
    expect(data().BlockDeviceMappings).toEqual([
      {
        DeviceName: '/dev/xvda',
        Ebs: { Encrypted: true, VolumeType: 'gp3', VolumeSize: 30, DeleteOnTermination: true },
      },
    ]);
  });

  it('has no key pair: nobody logs in', () => {
    expect(data().KeyName).toBeUndefined();
  });

  it('tags itself and all that comes of it with the installation, in names that the metadata can show', () => {
    const kinds = ['instance', 'volume', 'network-interface'];
    const specifications = [...template().TagSpecifications, ...data().TagSpecifications];
    expect(specifications.map(({ ResourceType }) => ResourceType)).toEqual(['launch-template', ...kinds]);
    for (const { Tags } of specifications) {
      expect(Tags).toContainEqual({ Key: 'candor:installation', Value: 'candor-dev' });
      for (const { Key } of Tags) expect(Key).toMatch(/^[\w+\-=.,:@]+$/);
    }
  });

  it('gives instances, volumes and network interfaces the tags of the environment, and keeps its own', () => {
    const tags = { 'cost-center': '4711', owner: 'agents@example.com' };
    const stacks = variant({ tags });
    const { TagSpecifications, LaunchTemplateData } = stacks.control.one('AWS::EC2::LaunchTemplate').Properties;
    for (const { Tags } of [...TagSpecifications, ...LaunchTemplateData.TagSpecifications])
      expect(Tags).toEqual([
        { Key: 'cost-center', Value: '4711' },
        { Key: 'owner', Value: 'agents@example.com' },
        { Key: 'candor:installation', Value: 'candor-test' },
        { Key: 'Name', Value: 'candor-test-vm' },
      ]);
    const { Variables } = functionsOf(stacks, 'candor-test').get('launch-vm')!.Properties.Environment;
    expect(JSON.parse(Variables.CANDOR_INSTANCE_TAGS)).toEqual(tags);
  });

  it('puts VMs behind a group that lets nothing in', () => {
    const { fleet } = environment('dev');
    const groups = fleet.ofType('AWS::EC2::SecurityGroup');
    expect(groups.map(({ Properties }) => Properties.SecurityGroupIngress)).toEqual([undefined]);
    expect(fleet.ofType('AWS::EC2::SecurityGroupIngress')).toEqual([]);
    const [network] = data().NetworkInterfaces;
    expect(data().NetworkInterfaces).toHaveLength(1);
    expect(network).toMatchObject({ DeviceIndex: 0, AssociatePublicIpAddress: true, DeleteOnTermination: true });
    expect(network.Groups.map(textOf)).toEqual([expect.stringContaining(groups[0]!.id)]);
  });

  it('boots the image that its configuration names', () => {
    const { ImageId } = variant({}).control.one('AWS::EC2::LaunchTemplate').Properties.LaunchTemplateData;
    expect(ImageId).toBe('ami-0123456789abcdef0');
    expect(Object.values(environment('dev').control.json.Parameters)).toContainEqual({
      Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>',
      Default: '/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64',
    });
    expect(textOf(data().ImageId)).toMatch(/kerneldefaultarm64/);
  });
});

describe('the network', () => {
  it('spreads subnets over the zones: public without NAT, private behind it', () => {
    const subnets = (name: string) =>
      environment(name)
        .fleet.ofType('AWS::EC2::Subnet')
        .map(({ Properties }) => Properties.AvailabilityZone);
    expect(subnets('dev')).toEqual(['eu-central-1a', 'eu-central-1b', 'eu-central-1c']);
    expect(subnets('prod')).toHaveLength(6);
    expect(environment('dev').fleet.ofType('AWS::EC2::NatGateway')).toHaveLength(0);
    expect(environment('prod').fleet.ofType('AWS::EC2::NatGateway')).toHaveLength(3);
    const { NetworkInterfaces } =
      environment('prod').control.one('AWS::EC2::LaunchTemplate').Properties.LaunchTemplateData;
    expect(NetworkInterfaces[0].AssociatePublicIpAddress).toBe(false);
  });

  it('gives no subnet’s instances a public address by itself', () => {
    for (const name of ENVIRONMENTS)
      for (const { Properties } of environment(name).fleet.ofType('AWS::EC2::Subnet'))
        expect(Properties.MapPublicIpOnLaunch).toBe(false);
  });

  it('keeps the way to the asset bucket inside', () => {
    const { ServiceName } = environment('dev').fleet.one('AWS::EC2::VPCEndpoint').Properties;
    expect(textOf(ServiceName)).toMatch(/^com\.amazonaws\.[^.]+\.s3$/);
  });

  it('can be one that is there already', () => {
    const { fleet } = variant({
      network: {
        kind: 'imported',
        vpcId: 'vpc-0123456789abcdef0',
        subnets: [{ subnetId: 'subnet-0123456789abcdef0', availabilityZone: 'eu-central-1b' }],
      },
    });
    expect(fleet.ofType('AWS::EC2::VPC')).toEqual([]);
    expect(fleet.one('AWS::EC2::SecurityGroup').Properties.VpcId).toBe('vpc-0123456789abcdef0');
  });

  it('has interface endpoints where they are asked for, open to HTTPS from within alone', () => {
    const network = { kind: 'created', availabilityZones: ['eu-central-1a'], interfaceEndpoints: ['ssm'] } as const;
    const { fleet } = variant({
      network: {
        ...network,
        interfaceEndpoints: [...network.interfaceEndpoints],
        availabilityZones: ['eu-central-1a'],
      },
    });
    const ingress = fleet
      .ofType('AWS::EC2::SecurityGroup')
      .flatMap(({ Properties }) => Properties.SecurityGroupIngress ?? []);
    expect(ingress).toEqual([expect.objectContaining({ FromPort: 443, ToPort: 443, IpProtocol: 'tcp' })]);
    expect(ingress[0].CidrIp).toEqual({ 'Fn::GetAtt': [fleet.one('AWS::EC2::VPC').id, 'CidrBlock'] });
  });
});

describe('user data', () => {
  it.each(ENVIRONMENTS)('%s: fits into EC2’s 16 KiB with room to spare', (name) => {
    const { text } = userDataOf(environment(name));
    expect(text.startsWith('#cloud-config\n')).toBe(true);
    expect(Buffer.byteLength(text)).toBeLessThan(15_000);
  });
});

describe('what other stacks import', () => {
  it.each(ENVIRONMENTS)('%s: is nothing that changes by itself, such as the newest image', (name) => {
    const stacks = environment(name);
    for (const template of [stacks.data, stacks.fleet]) {
      const parameters = Object.keys(template.json.Parameters ?? {});
      const exported = JSON.stringify(template.json.Outputs ?? {});
      for (const parameter of parameters) expect(exported).not.toContain(`"Ref":"${parameter}"`);
    }
  });
});
