import { describe, expect, it } from 'vitest';
import { RegistryError } from '../../../../extension-service/src/registry/errors.js';
import { AwsCallError, awsProblem, statement } from '../../../../extension-service/src/kinds/aws/problems.js';

const host = '123456789012.dkr.ecr.eu-central-1.amazonaws.com';
const arn = 'arn:aws:ecr:eu-central-1:123456789012:repository/docker.io/library/nginx';

function named(name: string, message = 'what AWS says', more: object = {}): Error {
  return Object.assign(new Error(message), { name, ...more });
}

describe('the result of an AWS call', () => {
  it.each<[string, Error, string, boolean]>([
    ['a missing permission', named('AccessDeniedException'), 'forbidden', false],
    ['throttling', named('ThrottlingException'), 'throttled', true],
    ['throttling by another name', named('TooManyRequestsException'), 'throttled', true],
    ['a quota', named('RepositoryLimitExceeded'), 'refused', false],
    ['no credentials', named('CredentialsProviderError'), 'unauthorized', false],
    ['ended credentials', named('ExpiredTokenException'), 'unauthorized', false],
    ['a wrong key', named('UnrecognizedClientException'), 'unauthorized', false],
    ['a key that KMS refuses', named('KmsException'), 'forbidden', false],
    ['bad parameters', named('InvalidParameterException'), 'invalid', false],
    ['a fault of AWS', named('ServerException'), 'server', true],
    ['no answer in time', named('TimeoutError'), 'unreachable', true],
    ['no connection', named('Error', 'connect ECONNREFUSED', { code: 'ECONNREFUSED' }), 'unreachable', true],
    ['an unknown 403', named('SomethingNew', 'no', { $metadata: { httpStatusCode: 403 } }), 'forbidden', false],
    ['an unknown 503', named('SomethingNew', 'no', { $metadata: { httpStatusCode: 503 } }), 'server', true],
  ])('%s', (_, error, kind, retryable) => {
    const problem = awsProblem(host, 'ecr:CreateRepository', arn, error);
    expect(problem).toBeInstanceOf(RegistryError);
    expect(problem).toMatchObject({ kind, retryable, host });
    expect(problem.message).toContain(`ecr:CreateRepository on ${arn}`);
  });

  it('contains the statement that an IAM administrator adds', () => {
    const { message } = awsProblem(host, 'ecr:CreateRepository', arn, named('AccessDeniedException'));
    expect(message).toContain(`{"Effect":"Allow","Action":"ecr:CreateRepository","Resource":"${arn}"}`);
    expect(statement(['ecr:PutImage', 'ecr:BatchGetImage'], '*')).toBe(
      '{"Effect":"Allow","Action":["ecr:PutImage","ecr:BatchGetImage"],"Resource":"*"}',
    );
  });

  it.each<[string, string, string, boolean]>([
    ['no policy of the identity', 'because no identity-based policy allows the ecr:CreateRepository action', '', true],
    [
      'a service control policy',
      'with an explicit deny in a service control policy',
      'the service control policy denies it, and no other policy overrides that',
      false,
    ],
    [
      'its own policy',
      'with an explicit deny in an identity-based policy',
      'the identity-based policy denies it',
      false,
    ],
    [
      'a permissions boundary',
      'because no permissions boundary allows the ecr:CreateRepository action',
      'the permissions boundary must also allow ecr:CreateRepository',
      false,
    ],
    [
      'the endpoint in the VPC',
      'because no VPC endpoint policy allows the ecr:CreateRepository action',
      'the VPC endpoint policy must also allow ecr:CreateRepository',
      false,
    ],
    [
      'the account of the registry',
      'because no resource-based policy allows the ecr:CreateRepository action',
      'set aws.role to a role of account 123456789012 that has ecr:CreateRepository',
      false,
    ],
  ])('names the policy to change if the call was denied by %s', (_, reason, expected, hasStatement) => {
    // IAM's message may be long, and its reason is at the end.
    const user = `arn:aws:sts::222222222222:assumed-role/${'r'.repeat(64)}/${'s'.repeat(64)}`;
    const text = `User: ${user} is not authorized to perform: ecr:CreateRepository on resource: ${arn}/${'x'.repeat(250)} ${reason}`;
    const { message } = awsProblem(host, 'ecr:CreateRepository', arn, named('AccessDeniedException', text));
    expect(message).toContain(expected);
    expect(message.includes('"Effect":"Allow"')).toBe(hasStatement);
  });

  it('names the region in which STS is not active', () => {
    const error = new AwsCallError('sts:AssumeRole', 'arn:aws:iam::1:role/r', named('RegionDisabledException'));
    const { message, kind } = awsProblem(host, 'ecr:GetAuthorizationToken', '*', error);
    expect(kind).toBe('forbidden');
    expect(message).toContain('activate STS for this region');
    expect(message).not.toContain('trust policy');
  });

  it('names the role that could not be assumed, and not the call that needed it', () => {
    const role = 'arn:aws:iam::210987654321:role/mirror';
    const { message, kind } = awsProblem(
      host,
      'ecr:GetAuthorizationToken',
      '*',
      new AwsCallError('sts:AssumeRole', role, named('AccessDenied')),
    );
    expect(kind).toBe('forbidden');
    expect(message).toContain(`sts:AssumeRole on ${role}`);
    expect(message).toContain('trust policy');
  });

  it('reports that an HTML page is not an answer of AWS', () => {
    const error = Object.assign(new SyntaxError('Unexpected token <'), { $metadata: { httpStatusCode: 502 } });
    const problem = awsProblem(host, 'ecr:CreateRepository', arn, error);
    expect(problem).toMatchObject({ kind: 'server', retryable: true });
    expect(problem.message).toContain('is there a proxy or login page in between?');
  });

  it('is one line for any answer of AWS', () => {
    const { message } = awsProblem(host, 'ecr:X', '*', named('ServerException', `a\nb\u001b[31m${'c'.repeat(5_000)}`));
    expect(message).not.toMatch(/\p{Cc}/u);
    expect(message.length).toBeLessThan(700);
  });
});
