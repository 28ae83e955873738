import { describe, expect, it } from 'vitest';
import { RegistryError } from '../../../../extension-service/src/registry/errors.js';
import { statement } from '../../../../extension-service/src/kinds/aws/advice.js';
import { rememberSource } from '../../../../extension-service/src/kinds/aws/credential-source.js';
import { AwsCallError, awsProblem, refusedAction } from '../../../../extension-service/src/kinds/aws/problems.js';

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

  const role = 'arn:aws:iam::210987654321:role/mirror';
  const refused = (action: string, on: string): string =>
    `User: arn:aws:sts::1:assumed-role/a/b is not authorized to perform: ${action} on resource: ${on}`;
  const noPolicy = (action: string): string => `because no identity-based policy allows the ${action} action`;
  const key = 'arn:aws:kms:eu-central-1:123456789012:key/1';
  const tokenFile = '/var/run/secrets/eks.amazonaws.com/serviceaccount/token';
  const unreadable = { code: 'EACCES', syscall: 'open', path: tokenFile };

  // Reported texts: repository#number is an issue at GitHub.
  it.each<[string, Error, string, string]>([
    [
      'estahn/k8s-image-swapper#416',
      named('AccessDeniedException', `${refused('ecr:TagResource', arn)} ${noPolicy('ecr:TagResource')}`),
      'forbidden',
      `needs {"Effect":"Allow","Action":"ecr:TagResource","Resource":"${arn}"}`,
    ],
    [
      'a key without kms:CreateGrant',
      named('AccessDeniedException', `${refused('kms:CreateGrant', key)} ${noPolicy('kms:CreateGrant')}`),
      'forbidden',
      `needs {"Effect":"Allow","Action":"kms:CreateGrant","Resource":"${key}"}`,
    ],
    [
      'aws/aws-sdk-js-v3#6225',
      named('AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity'),
      'forbidden',
      "; the trust policy of the ServiceAccount's role (AWS_ROLE_ARN) must name",
    ],
    [
      'external-secrets/external-secrets#2951',
      new AwsCallError('sts:AssumeRole', role, named('AccessDenied', refused('sts:TagSession', role))),
      'forbidden',
      `must also allow sts:TagSession, and the identity needs {"Effect":"Allow","Action":"sts:TagSession","Resource":"${role}"}`,
    ],
    [
      'fluxcd/pkg#938',
      named(
        'AccessDeniedException',
        `${refused('sts:GetServiceBearerToken', '*')} ${noPolicy('sts:GetServiceBearerToken')}`,
      ),
      'forbidden',
      '; the identity\'s policy needs {"Effect":"Allow","Action":"sts:GetServiceBearerToken","Resource":"*"}',
    ],
    [
      'a role beyond a permissions boundary',
      new AwsCallError(
        'sts:AssumeRole',
        role,
        named('AccessDenied', `${refused('sts:AssumeRole', role)} because no permissions boundary allows it`),
      ),
      'forbidden',
      '; the permissions boundary must also allow sts:AssumeRole',
    ],
    [
      'a role with an external ID',
      new AwsCallError('sts:AssumeRole', role, named('AccessDenied', refused('sts:AssumeRole', role))),
      'forbidden',
      'aws.externalId',
    ],
    [
      'aws/aws-sdk-js-v3#6419',
      named('InvalidIdentityTokenException', 'No OpenIDConnect provider found in your account for https://x'),
      'unauthorized',
      'needs an OIDC identity provider in IAM',
    ],
    [
      'the issuer is not reachable',
      named('IDPCommunicationErrorException', 'Error communicating with IDP', { $metadata: { httpStatusCode: 400 } }),
      'unreachable',
      'the service retries',
    ],
    [
      'another audience',
      named('IDPRejectedClaimException', 'Incorrect token audience', { $metadata: { httpStatusCode: 403 } }),
      'unauthorized',
      'sts.amazonaws.com',
    ],
    [
      'aws/aws-sdk-js-v3#5920',
      named('InvalidSignatureException', 'Signature not yet current: 2 is still later than 1 (0 + 5 min.)'),
      'unauthorized',
      'the clock of this node is wrong',
    ],
    [
      'aws/aws-sdk-js-v3#2208',
      named('RequestTimeTooSkewed', 'The difference is too large.', { $metadata: { httpStatusCode: 403 } }),
      'unauthorized',
      'the clock of this node is wrong',
    ],
    [
      'aws/chalice#1445',
      named('UnrecognizedClientException', 'The security token included in the request is invalid.'),
      'unauthorized',
      'the account has not enabled this region',
    ],
    [
      'hashicorp/terraform-provider-aws#39064',
      named(
        'InvalidParameterException',
        "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Principal not found'",
      ),
      'invalid',
      'a principal of ecrOptions.accessPolicy does not exist',
    ],
    [
      'awsdocs/amazon-ecr-user-guide#20',
      named(
        'InvalidParameterException',
        "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'",
      ),
      'invalid',
      'a policy of a repository has no Resource',
    ],
    [
      'cloudposse/terraform-aws-ecr#158',
      named(
        'InvalidParameterException',
        "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure'",
      ),
      'invalid',
      'check ecrOptions.lifecyclePolicy',
    ],
    ['a disabled key', named('KmsException', `${key} is disabled.`), 'forbidden', 'the key must be enabled'],
    [
      'mumoshu/aws-secret-operator#37',
      named('Error', `EACCES: permission denied, open '${tokenFile}'`, unreadable),
      'unauthorized',
      'readable for the user of the container (fsGroup)',
    ],
    [
      'the end of an SSO session',
      named('CredentialsProviderError', 'The SSO session associated with this profile has expired.'),
      'unauthorized',
      'this profile has expired.',
    ],
    ['a proxy', named('Error', 'Bad response: 403'), 'unreachable', 'the proxy of HTTPS_PROXY refused the connection'],
    ['a proxy with a login', named('Error', 'Bad response: 407'), 'unreachable', 'requires a login: write http://USER'],
  ])('has the remedy for %s', (_, error, kind, remedy) => {
    const problem = awsProblem(host, 'ecr:CreateRepository', arn, error);
    expect(problem.kind).toBe(kind);
    expect(problem.message).toContain(remedy);
    // A general hint about credentials would contradict it.
    expect(problem.advised).toBe(remedy !== 'this profile has expired.');
    expect(problem.message).not.toContain('"ecr:CreateRepository","Resource"');
    expect(problem.message).not.toContain('there are no AWS credentials');
  });

  it('is retried if a file with credentials cannot be read yet', () => {
    const error = named('Error', `EACCES: permission denied, open '${tokenFile}'`, unreadable);
    expect(awsProblem(host, 'ecr:GetAuthorizationToken', '*', error).retryable).toBe(true);
  });

  it.each<[Record<string, string>, string]>([
    [{}, 'there are no AWS credentials: provide'],
    [
      { AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://169.254.170.23/v1/credentials' },
      'the EKS Pod Identity agent must run',
    ],
    [{ AWS_PROFILE: 'dev' }, 'AWS_PROFILE is set and gave no credentials'],
    [{ AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile }, 'its role in AWS_ROLE_ARN'],
  ])('names the source of credentials that the environment selects: %o', async (env, expected) => {
    const error = named('CredentialsProviderError', 'Could not load credentials from any providers');
    await expect(rememberSource(env)(() => Promise.reject(error))({})).rejects.toBe(error);
    expect(awsProblem(host, 'ecr:GetAuthorizationToken', '*', error).message).toContain(expected);
  });

  it('names the action that was refused, which the call may need in addition', () => {
    expect(refusedAction(named('AccessDeniedException', refused('ecr:TagResource', arn)))).toBe('ecr:TagResource');
    expect(refusedAction(new AwsCallError('a:B', '*', named('AccessDenied', refused('c:D', '*'))))).toBe('c:D');
    expect(refusedAction(named('KmsException'))).toBeUndefined();
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
