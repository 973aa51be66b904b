import { describe, expect, it } from 'vitest';
import { coreConfig, optional, variables } from '../../lambdas/environment.ts';

describe('the environment of the Lambdas', () => {
  it('is asked for what is needed, and answers it', () => {
    expect(variables(['CANDOR_TABLE'], { CANDOR_TABLE: 't' })).toEqual({ CANDOR_TABLE: 't' });
  });

  it('names each variable that is missing or wrong, and what it must be', () => {
    const ask = () =>
      variables(['CANDOR_TABLE', 'CANDOR_STATE_MACHINE_ARN', 'CANDOR_POOLS', 'CANDOR_BUCKET'], {
        CANDOR_STATE_MACHINE_ARN: 'nonsense',
        CANDOR_POOLS: '{}',
        CANDOR_BUCKET: '',
      });
    for (const text of [
      'CANDOR_TABLE is missing: the name of the table',
      'CANDOR_STATE_MACHINE_ARN is not the ARN of the state machine',
      'CANDOR_POOLS is not the instance pools',
      'CANDOR_BUCKET is missing',
    ])
      expect(ask).toThrow(text);
  });

  it('has a configuration that is checked as a whole', () => {
    expect(coreConfig({}).leaseSeconds).toBe(45);
    expect(coreConfig({ CANDOR_CONFIG: '{"leaseSeconds": 60}' }).leaseSeconds).toBe(60);
    for (const [text, problem] of [
      ['{', 'CANDOR_CONFIG is not JSON'],
      ['{"leaseSeconds": "long"}', 'leaseSeconds'],
      ['{"leaseSeconds": 500}', 'must be less than unresponsiveSeconds'],
      ['{"nonsense": 1}', 'nonsense is no setting'],
    ] as const)
      expect(() => coreConfig({ CANDOR_CONFIG: text })).toThrow(problem);
  });

  it('has what need not be set', () => {
    expect(optional({})).toMatchObject({
      features: { schedules: true },
      launchTemplateVersion: '$Latest',
      emulatesS3: false,
    });
    expect(optional({ CANDOR_FEATURES_SCHEDULES: 'off', AWS_ENDPOINT_URL: 'http://localhost:4566' })).toMatchObject({
      features: { schedules: false },
      emulatesS3: true,
    });
  });
});
