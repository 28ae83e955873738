import { describe, expect, it } from 'vitest';
import { ecrCovers, ecrHost } from '../../../../extension-service/src/kinds/aws/hosts.js';
import { awsConfig } from './config.js';

describe('the registries that a login of ECR may be sent to', () => {
  const covers = ecrCovers(awsConfig());

  it.each([
    '123456789012.dkr.ecr.eu-central-1.amazonaws.com',
    '123456789012.dkr.ecr-fips.eu-central-1.amazonaws.com',
    '123456789012.dkr-ecr.eu-central-1.on.aws',
    '123456789012.dkr-ecr-fips.eu-central-1.on.aws',
  ])('%s', (host) => {
    expect(covers(host, 'any/repository')).toBe(true);
  });

  it.each([
    ['another account', '210987654321.dkr.ecr.eu-central-1.amazonaws.com'],
    ['another region', '123456789012.dkr.ecr.us-east-1.amazonaws.com'],
    ['another partition', '123456789012.dkr.ecr.eu-central-1.amazonaws.com.cn'],
    ['a host that begins like it', '123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example'],
    ['a port of it', '123456789012.dkr.ecr.eu-central-1.amazonaws.com:8443'],
    ['ECR Public', 'public.ecr.aws'],
    ['any other', 'registry.example.com'],
  ])('not %s', (_, host) => {
    expect(covers(host, 'any/repository')).toBe(false);
  });

  it('of ECR Public is for ECR Public alone', () => {
    const aws = awsConfig({ public: true, accountId: '', region: '' });
    expect(ecrHost(aws)).toBe('public.ecr.aws');
    expect(ecrCovers(aws)('public.ecr.aws', 'nginx/nginx')).toBe(true);
    // The dual-stack host of the same registry (amazon-ecr-credential-helper issue 1018).
    expect(ecrCovers(aws)('ecr-public.aws.com', 'nginx/nginx')).toBe(true);
    expect(ecrCovers(aws)('evil.ecr-public.aws.com', 'nginx/nginx')).toBe(false);
    expect(ecrCovers(aws)('123456789012.dkr.ecr.us-east-1.amazonaws.com', 'app')).toBe(false);
  });
});
