import { describe, expect, it } from 'vitest';
import { aws, oci, parse, problemsOf, warningsOf } from './parsing.js';

describe('problems with AWS', () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      'an account that is not a number',
      'target: {type: aws, aws: {accountId: my-account, region: eu-central-1}}\n',
      ['1:38: target.aws.accountId: "my-account" is not a valid AWS account: expected a 12-digit AWS account ID'],
    ],
    [
      'a region that is none',
      'target: {type: aws, aws: {accountId: "123456789012", region: Frankfurt}}\n',
      ['1:62: target.aws.region: "Frankfurt" is not a valid AWS region: expected an AWS region such as eu-central-1'],
    ],
    [
      'an availability zone',
      'target: {type: aws, aws: {accountId: "123456789012", region: eu-central-1a}}\n',
      [
        '1:62: target.aws.region: "eu-central-1a" is not a valid AWS region: expected an AWS region such as eu-central-1',
      ],
    ],
    [
      'a role that is not an ARN',
      aws('    role: mirror\n'),
      [
        '6:11: target.aws.role: "mirror" is not a valid role ARN: expected the ARN of a role such as arn:aws:iam::123456789012:role/mirror',
      ],
    ],
    [
      'the ARN of a user',
      aws('    role: arn:aws:iam::123456789012:user/mirror\n'),
      [
        '6:11: target.aws.role: "arn:aws:iam::123456789012:user/mirror" is not a valid role ARN: expected the ARN of a role such as arn:aws:iam::123456789012:role/mirror',
      ],
    ],
    [
      'a role of another partition',
      aws('    role: arn:aws-cn:iam::123456789012:role/mirror\n'),
      [
        '6:11: target.aws.role: is a role of partition aws-cn, but region eu-central-1 is in aws: the ARN must begin with arn:aws:',
      ],
    ],
    [
      'a policy that is not JSON, in a block',
      aws(
        '    ecrOptions:\n      accessPolicy: |\n        {\n          "Version": "2008-10-17"\n          "Statement": []\n        }\n',
      ),
      [
        '10:11: target.aws.ecrOptions.accessPolicy: not valid JSON: expected "," or "}": expected a repository policy as raw JSON, at most 10240 characters',
      ],
    ],
    [
      'a policy that is not JSON, in quotes',
      aws(`    ecrOptions:\n      accessPolicy: '{"Version": }'\n`),
      [
        '7:34: target.aws.ecrOptions.accessPolicy: not valid JSON: expected a value: expected a repository policy as raw JSON, at most 10240 characters',
      ],
    ],
    [
      'a policy that is not JSON, over folded lines',
      aws(`    ecrOptions:\n      accessPolicy: >\n        {"Version":\n        oops}\n`),
      [
        '7:21: target.aws.ecrOptions.accessPolicy: not valid JSON: expected a value (line 1, column 13 of the string): expected a repository policy as raw JSON, at most 10240 characters',
      ],
    ],
    [
      'a policy that is a list',
      aws(`    ecrOptions:\n      accessPolicy: '[]'\n`),
      [
        '7:21: target.aws.ecrOptions.accessPolicy: not a JSON object: expected a repository policy as raw JSON, at most 10240 characters',
      ],
    ],
    [
      'a lifecycle policy without rules',
      aws(`    ecrOptions:\n      lifecyclePolicy: '{"Rules": []}'\n`),
      [
        `7:24: target.aws.ecrOptions.lifecyclePolicy: this lifecycle policy has no "rules" list: see ECR's lifecycle policy syntax`,
      ],
    ],
    [
      'a rule without priority',
      aws(`    ecrOptions:\n      lifecyclePolicy: '{"rules": [{}]}'\n`),
      [
        `7:24: target.aws.ecrOptions.lifecyclePolicy: rule 1 of this lifecycle policy has no "rulePriority", a number from 1: see ECR's lifecycle policy syntax`,
      ],
    ],
    [
      'two rules of one priority',
      aws(`    ecrOptions:\n      lifecyclePolicy: '{"rules": [{"rulePriority": 1}, {"rulePriority": 1}]}'\n`),
      [
        `7:24: target.aws.ecrOptions.lifecyclePolicy: two rules of this lifecycle policy have "rulePriority" 1: see ECR's lifecycle policy syntax`,
      ],
    ],
    [
      'too many rules',
      aws(
        `    ecrOptions:\n      lifecyclePolicy: '{"rules": [${Array.from({ length: 51 }, (_, i) => `{"rulePriority": ${i + 1}}`).join(',')}]}'\n`,
      ),
      [
        `7:24: target.aws.ecrOptions.lifecyclePolicy: this lifecycle policy has 51 rules, ECR allows 50: see ECR's lifecycle policy syntax`,
      ],
    ],
    [
      'a lifecycle policy that is too long',
      aws(`    ecrOptions:\n      lifecyclePolicy: '{"rules": [], "x": "${'x'.repeat(30_720)}"}'\n`),
      [
        '7:24: target.aws.ecrOptions.lifecyclePolicy: has 30742 characters: expected a lifecycle policy as raw JSON, at most 30720 characters',
      ],
    ],
    [
      'too many tags',
      aws(
        `    ecrOptions:\n      tags: [${Array.from({ length: 51 }, (_, i) => `{key: k${i}, value: v}`).join(', ')}]\n`,
      ),
      ['7:7: target.aws.ecrOptions.tags: there are 51 tags: ECR allows 50'],
    ],
    [
      'a tag twice, one of AWS, a number',
      aws(
        '    ecrOptions:\n      tags:\n        - {key: a, value: b}\n        - {key: a, value: ""}\n        - {key: "aws:x", value: 7}\n',
      ),
      [
        '9:17: target.aws.ecrOptions.tags[1].key: the tag "a" is a duplicate',
        '10:17: target.aws.ecrOptions.tags[2].key: "aws:x" begins with aws:, which is reserved by AWS',
        '10:33: target.aws.ecrOptions.tags[2].value: is a number, not a string: write it in quotes: "7"',
      ],
    ],
    [
      'KMS without a key',
      aws('    ecrOptions:\n      encryptionConfiguration: {encryptionType: KMS}\n'),
      [
        '7:49: target.aws.ecrOptions.encryptionConfiguration.kmsKey: required with encryptionType KMS: set the ARN, ID or alias of a KMS key; alias/aws/ecr is the key that AWS manages',
      ],
    ],
    [
      'an unknown mutability',
      aws('    ecrOptions:\n      imageTagMutability: IMMUTABL\n'),
      [
        '7:27: target.aws.ecrOptions.imageTagMutability: "IMMUTABL" is not valid (did you mean "IMMUTABLE"?): expected one of MUTABLE, IMMUTABLE, IMMUTABLE_WITH_EXCLUSION, MUTABLE_WITH_EXCLUSION',
      ],
    ],
    [
      'a prefix that is not a path',
      aws('    prefix: My Mirror\n'),
      [
        '6:13: target.aws.prefix: "My Mirror" is not a valid path: expected a path such as mirror or team/mirror: lower-case letters, digits, single . _ - between them',
      ],
    ],
    [
      'a prefix that ECR refuses',
      aws('    prefix: a__b\n'),
      [
        '6:13: target.aws.prefix: "a__b" is not a valid path: lower-case letters and digits, with single . _ - between them, in parts separated by /',
      ],
    ],
    [
      'a prefix that leaves no room',
      aws(`    prefix: ${'a'.repeat(150)}\n`),
      [
        `6:13: target.aws.prefix: host and path leave 56 characters for the image name, which needs at least 96: shorten the path by 40`,
      ],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });
});

describe('problems with Google Cloud', () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      'a zone',
      'target: {gcp: {location: us-central1-a, projectId: my-project, repositoryId: main}}\n',
      [
        '1:26: target.gcp.location: "us-central1-a" is a zone, but Artifact Registry uses regions: its region is "us-central1"',
      ],
    ],
    [
      'a location that is none',
      'target: {gcp: {location: moon, projectId: my-project, repositoryId: main}}\n',
      [
        '1:26: target.gcp.location: "moon" is not a valid location: expected a region such as us-central1 or one of us, europe, asia',
      ],
    ],
    [
      'a project number',
      'target: {gcp: {location: us, projectId: "123456789012", repositoryId: main}}\n',
      [
        '1:41: target.gcp.projectId: "123456789012" is a project number: expected a project id such as my-project-123 or example.com:my-project',
      ],
    ],
    [
      'a project that is none',
      'target: {gcp: {location: us, projectId: My_Project, repositoryId: main}}\n',
      [
        '1:41: target.gcp.projectId: "My_Project" is not a valid project id: expected a project id such as my-project-123 or example.com:my-project',
      ],
    ],
    [
      'a repository path',
      'target: {gcp: {location: us, projectId: my-project, repositoryId: main/docker}}\n',
      [
        '1:67: target.gcp.repositoryId: "main/docker" is not a valid repository name: expected the name of an Artifact Registry repository: up to 63 lower-case letters, digits and -, a letter first',
      ],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });
});

describe('problems with other registries', () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      'a scheme',
      'target: {oci: {registry: "https://registry.example.com"}}\n',
      [
        '1:26: target.oci.registry: "https://registry.example.com" has a scheme: expected host or host:port, such as harbor.example.com:5000',
      ],
    ],
    [
      'plain HTTP',
      'target: {oci: {registry: "http://registry.example.com:5000"}}\n',
      [
        '1:26: target.oci.registry: "http://registry.example.com:5000" has a scheme: expected host or host:port, such as harbor.example.com:5000; for plain HTTP set insecure: true',
      ],
    ],
    [
      'a path',
      'target: {oci: {registry: registry.example.com/mirror}}\n',
      [
        '1:26: target.oci.registry: "registry.example.com/mirror" has a path: expected host or host:port, such as harbor.example.com:5000; put the path in prefix',
      ],
    ],
    [
      'a name that reads as a path',
      'target: {oci: {registry: harbor}}\n',
      ['1:26: target.oci.registry: "harbor" has neither a dot nor a port: write harbor:443'],
    ],
    [
      'a port that is none',
      'target: {oci: {registry: "registry.example.com:99999"}}\n',
      ['1:26: target.oci.registry: "registry.example.com:99999" has an invalid port: expected a port from 1 to 65535'],
    ],
    [
      'no host',
      'target: {oci: {registry: "registry example.com"}}\n',
      [
        '1:26: target.oci.registry: "registry example.com" is not a valid host: expected host or host:port, such as harbor.example.com:5000',
      ],
    ],
    [
      'two ways to log in',
      oci('    credentials: {secretName: a, dockerConfigFile: /b}\n'),
      [
        '5:52: target.oci.credentials.dockerConfigFile: cannot be combined with secretName: set only one of secretName, password, passwordFile, dockerConfigFile',
      ],
    ],
    [
      'no way to log in',
      oci('    credentials: {username: me}\n'),
      [
        '5:5: target.oci.credentials: has no login method: set one of secretName, password, passwordFile, dockerConfigFile',
      ],
    ],
    [
      'a password without a user',
      oci('    credentials: {passwordFile: /p, namespace: x}\n'),
      [
        '5:5: target.oci.credentials.username: required with a password',
        '5:48: target.oci.credentials.namespace: has no effect without secretName',
      ],
    ],
    [
      'a Secret that cannot be',
      oci('    credentials: {secretName: My_Secret}\n'),
      [
        '5:31: target.oci.credentials.secretName: "My_Secret" is not a valid name of a Secret: expected lower-case letters, digits, - and .',
      ],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });
});

describe('a target at a registry of many owners', () => {
  it.each([
    ['ghcr.io', '', true],
    ['ghcr.io', 'team', false],
    ['quay.io', '', true],
    ['registry.gitlab.com', '', true],
    ['europe-docker.pkg.dev', '', true],
    ['us.gcr.io', '', true],
    ['registry.example.com', '', false],
  ])('%s with prefix "%s" is a warning: %s', (registry, prefix, expected) => {
    const config = parse(`target: {type: oci, oci: {registry: ${registry}, prefix: "${prefix}"}}\n`);
    expect(warningsOf(config).join().includes('set prefix to your organization')).toBe(expected);
  });
});

describe('a target at Docker Hub', () => {
  it.each(['docker.io', 'index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com'])(
    'is a warning, because its repositories have two parts: %s',
    (registry) => {
      const config = parse(`target: {type: oci, oci: {registry: ${registry}, prefix: team}}\n`);
      expect(warningsOf(config).filter((warning) => warning.includes('target.oci.registry'))).toEqual([
        expect.stringMatching(/Docker Hub has only repositories of the form NAMESPACE\/NAME/),
      ]);
    },
  );

  it('may be a source', () => {
    const source = 'source: {registries: [{type: oci, oci: {registry: docker.io}}]}\n';
    const config = parse(`${source}target: {type: oci, oci: {registry: registry.example.com}}\n`);
    expect(warningsOf(config).join()).not.toContain('Docker Hub');
  });
});
