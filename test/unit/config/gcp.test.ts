import { describe, expect, it } from 'vitest';
import type { ConfigFiles } from '../../../extension-service/src/config/files.js';
import { loadConfig } from '../../../extension-service/src/config/load.js';
import { parse, problemsOf, warningsOf } from './parsing.js';

/** A configuration with a target in Artifact Registry. `lines` begin at line 7. */
function gcp(lines: string): string {
  return `target:\n  type: gcp\n  gcp:\n    location: europe\n    projectId: my-project\n    repositoryId: mirror\n${lines}`;
}

const KEY = 'projects/my-project/locations/europe/keyRings/ring/cryptoKeys/key';

describe('a repository name of Artifact Registry', () => {
  it('accepts every setting', () => {
    const { config, warnings } = parse(
      gcp(`    serviceAccount: mirror@my-project.iam.gserviceaccount.com
    endpoint: artifactregistry-psc.p.googleapis.com:443
    createRepository: true
    repository:
      description: Mirrored images
      labels: [{key: team, value: platform}]
      kmsKey: ${KEY}
      immutableTags: true
      vulnerabilityScanning: disabled
    cleanupPolicies:
      - {name: old, action: delete, condition: {tagState: untagged, olderThan: 720h}}
      - {name: recent, action: keep, mostRecentVersions: {keepCount: 5, packagePrefixes: [docker.io]}}
    cleanupDryRun: true
    readers: ["serviceAccount:nodes@my-project.iam.gserviceaccount.com", "principalSet://iam.googleapis.com/x", "group:a@example.com"]
`),
    );
    expect(warnings).toEqual([]);
    expect(config.target).toMatchObject({
      gcp: {
        serviceAccount: 'mirror@my-project.iam.gserviceaccount.com',
        createRepository: true,
        reconcilePolicies: true,
        repository: { immutableTags: true, vulnerabilityScanning: 'disabled', kmsKey: KEY },
        cleanupPolicies: [
          { name: 'old', action: 'delete', condition: { tagState: 'untagged', olderThan: 2_592_000_000 } },
          { name: 'recent', action: 'keep', mostRecentVersions: { keepCount: 5, packagePrefixes: ['docker.io'] } },
        ],
        cleanupDryRun: true,
      },
    });
  });

  it.each([
    ['us', 'gcr.io', []],
    ['us', 'us.gcr.io', []],
    ['europe', 'eu.gcr.io', []],
    ['asia', 'asia.gcr.io', []],
    ['europe', 'gcr.io', ['target.gcp.location: the repository "gcr.io" is not in "europe": write us']],
    ['us', 'k8s.gcr.io', [expect.stringContaining('"k8s.gcr.io" is not a valid repository name')]],
  ])('checks the repository of a host of Container Registry: %s, %s', (location, repositoryId, expected) => {
    const text = `target: {gcp: {location: ${location}, projectId: my-project, repositoryId: ${repositoryId}}}\n`;
    expect(problemsOf(text).map((problem) => problem.replace(/^\d+:\d+: /, ''))).toEqual(expected);
  });

  it('accepts no settings for a source, which is only read', () => {
    const source = (more: string): string =>
      `target: {type: oci, oci: {registry: r.example.com}}\nsource:\n  registries:\n    - type: gcp\n      gcp:\n        location: us\n        projectId: my-project\n        repositoryId: main\n${more}`;
    const { config } = parse(source('        serviceAccount: reader@my-project.iam.gserviceaccount.com\n'));
    expect(config.source.registries[0]).toMatchObject({
      type: 'gcp',
      gcp: { serviceAccount: 'reader@my-project.iam.gserviceaccount.com', createRepository: false, readers: [] },
    });
    expect(problemsOf(source('        createRepository: true\n'))).toEqual([
      expect.stringMatching(/^9:9: source\.registries\[0\]\.gcp\.createRepository: /),
    ]);
  });

  it.each<readonly [string, string, readonly string[]]>([
    [
      'a service account without its domain',
      '    serviceAccount: mirror@my-project\n',
      [
        '7:21: target.gcp.serviceAccount: "mirror@my-project" is not a valid service account: expected the email address of a service account such as mirror@my-project-123.iam.gserviceaccount.com',
      ],
    ],
    [
      'an endpoint with a scheme',
      '    endpoint: https://x.example.com\n',
      [
        '7:15: target.gcp.endpoint: "https://x.example.com" has a scheme: expected host or host:port, such as harbor.example.com:5000',
      ],
    ],
    [
      'a key of another location',
      `    createRepository: true\n    repository:\n      kmsKey: projects/p/locations/us/keyRings/r/cryptoKeys/k\n`,
      [
        '9:15: target.gcp.repository.kmsKey: is a key in us, but the repository is in europe: both locations must be the same',
      ],
    ],
    [
      'labels twice, and ours',
      '    repository: {labels: [{key: a, value: b}, {key: a, value: c}, {key: image-swapper-x, value: d}]}\n',
      [
        '7:53: target.gcp.repository.labels[1].key: the label "a" is a duplicate',
        '7:73: target.gcp.repository.labels[2].key: "image-swapper-x" begins with a word that is reserved by Google or image-swapper',
      ],
    ],
    [
      'policies that are empty, ambiguous or wrong',
      '    cleanupPolicies:\n      - {name: a, action: keep}\n      - {name: a, action: delete, mostRecentVersions: {keepCount: 1}}\n      - {name: c, action: delete, condition: {tagState: untagged, tagPrefixes: [v]}, mostRecentVersions: {keepCount: 1}}\n',
      [
        '8:9: target.gcp.cleanupPolicies[0]: does not select any versions: set condition or mostRecentVersions',
        '9:16: target.gcp.cleanupPolicies[1].name: the policy "a" is a duplicate',
        '9:27: target.gcp.cleanupPolicies[1].action: is delete, but mostRecentVersions only works with keep: set action: keep',
        '10:27: target.gcp.cleanupPolicies[2].action: is delete, but mostRecentVersions only works with keep: set action: keep',
        '10:67: target.gcp.cleanupPolicies[2].condition.tagPrefixes: do not apply to untagged versions: set tagState: tagged',
        '10:86: target.gcp.cleanupPolicies[2].mostRecentVersions: cannot be combined with condition: split this into two policies',
      ],
    ],
    [
      'a reader without its kind',
      '    readers: [nodes@my-project.iam.gserviceaccount.com]\n',
      [
        '7:15: target.gcp.readers[0]: "nodes@my-project.iam.gserviceaccount.com" is not a valid IAM member: expected user:, group:, serviceAccount: or domain: and its value, or a principal:// or principalSet:// identifier',
      ],
    ],
    [
      'aws beside it',
      '  aws: {accountId: "123456789012", region: eu-central-1}\n',
      ['7:3: target.aws: does not belong to a registry of type gcp: leave it out, or set type: aws'],
    ],
  ])('refuses %s', (_, lines, expected) => {
    expect(problemsOf(gcp(lines))).toEqual(expected);
  });

  it('warns of settings without effect', () => {
    expect(warningsOf(parse(gcp(`    cleanupDryRun: true\n    repository: {kmsKey: ${KEY}}\n`)))).toEqual([
      '7:20: target.gcp.cleanupDryRun: has no effect without cleanupPolicies',
      '8:26: target.gcp.repository.kmsKey: applies to new repositories only, but createRepository is not true',
    ]);
  });
});

const GOOD = '{"type": "service_account", "client_email": "a@b", "private_key": "-----BEGIN PRIVATE KEY-----secret"}';

describe('credentials files', () => {
  const load = async (
    lines: string,
    contents: Readonly<Record<string, string>>,
    env: Readonly<Record<string, string>> = {},
    checkFiles?: boolean,
  ): Promise<string> => {
    const all: Readonly<Record<string, string>> = { '/etc/image-swapper.yaml': gcp(lines), ...contents };
    const files: ConfigFiles = {
      read: (path) => {
        const text = all[path];
        if (text === undefined) return Promise.reject(Object.assign(new Error('no'), { code: 'ENOENT' }));
        return Promise.resolve(Buffer.from(text));
      },
    };
    const options = {
      path: '/etc/image-swapper.yaml',
      cwd: '/work',
      env,
      flags: {},
      ...(checkFiles === false && { checkFiles }),
    };
    return loadConfig(options, files).then(
      () => '',
      (error: unknown) => String(error),
    );
  };
  const named = '    credentialsFile: keys/google.json\n';
  const place = '/etc/image-swapper.yaml:7:22: target.gcp.credentialsFile: keys/google.json';

  it('are found relative to the working folder', async () => {
    expect(await load(named, { '/work/keys/google.json': GOOD })).toBe('');
  });

  it('that are missing are refused at their line and column', async () => {
    expect(await load(named, {})).toContain(`${place} cannot be used: the file does not exist: expected a JSON file`);
  });

  it.each([
    ['{"type": "service_account",\n  oops}', 'is not JSON (line 2, column 3): expected a key in double quotes'],
    ['[]', 'is not a JSON object'],
    [
      '{"installed": {}}',
      'has no "type", so it is not a Google credentials file: this is an OAuth client; a service account is required',
    ],
    ['{"type": "constructor"}', 'has the type "constructor"; expected one of service_account, authorized_user, '],
    ['{"type": "service_account", "client_email": "a@b"}', 'is of type service_account and has no private_key'],
  ])('with %j are refused', async (text, expected) => {
    expect(await load(named, { '/work/keys/google.json': text })).toContain(`${place} ${expected}`);
  });

  it('are never quoted', async () => {
    const broken = GOOD.slice(0, -1);
    const message = await load(named, { '/work/keys/google.json': broken });
    expect(message).toContain('is not JSON (line 1, column ');
    expect(message).not.toContain('secret');
  });

  it('of the environment variable are checked when a registry depends on it', async () => {
    const env = { GOOGLE_APPLICATION_CREDENTIALS: '/key.json' };
    expect(await load('', {}, env)).toContain(
      'environment GOOGLE_APPLICATION_CREDENTIALS: /key.json cannot be used: the file does not exist',
    );
    expect(await load(named, { '/work/keys/google.json': GOOD }, env)).toBe('');
    expect(await load('', { '/key.json': GOOD }, env)).toBe('');
  });

  it('are not checked by commands that reach no registry', async () => {
    expect(await load(named, {}, {}, false)).toBe('');
  });
});
