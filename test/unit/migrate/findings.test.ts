import { describe, expect, it } from 'vitest';
import { formatProblem } from '../../../extension-service/src/config/problem.js';
import { migrate } from '../../../extension-service/src/migrate/migrate.js';
import type { PolicyEngine } from '../../../extension-service/src/core/config/model.js';

const config = "config: {source: {filters: []}, target: {aws: {accountId: '123456789012', region: eu-west-1}}}\n";

function run(text: string, engine: PolicyEngine = 'webhook', file = 'values.yaml') {
  const { values, findings } = migrate({ text, file, engine });
  return { values, lines: findings.map(formatProblem) };
}

describe('migrate', () => {
  it('lets the service write the policies of Gatekeeper where filters are about more than images', () => {
    const target = "target: {aws: {accountId: '123456789012', region: eu-west-1}}";
    const byDefault = run(`config: {${target}}\nwebhook: {timeoutSeconds: 10}\n`, 'gatekeeper');
    expect(byDefault.values['policies']).toEqual({ engine: 'gatekeeper', manage: true });
    expect(byDefault.values['webhook']).toBeUndefined();
    expect(byDefault.lines.join('\n')).toContain('policies.manage is set to true');
    expect(byDefault.lines.join('\n')).toContain('webhook.timeoutSeconds: has no place with policies.manage');

    const filter = (text: string): string => `config: {source: {filters: [{jmespath: "${text}"}]}, ${target}}\n`;
    const byImage = run(filter("contains(container.image, 'a')"), 'gatekeeper');
    expect(byImage).toMatchObject({ values: { policies: { engine: 'gatekeeper' } }, lines: [] });
    expect(byImage.values['policies']).not.toHaveProperty('manage');

    const impossible = run(filter("container.name == 'a'"), 'gatekeeper');
    expect(impossible.lines.join('\n')).toContain('config.source.filters[0]: Gatekeeper cannot decide');
    expect(impossible.values['policies']).not.toHaveProperty('manage');
  });

  it('says nothing about values that mean the same', () => {
    const { values, lines } = run(
      `${config}replicaCount: 2\nresources: {limits: {memory: 1Gi}}\nfullnameOverride: ""\n`,
    );
    expect(lines).toEqual([]);
    expect(values).toMatchObject({ replicaCount: 2, policies: { engine: 'webhook' } });
  });

  it.each<[string, string, string[]]>([
    [
      'a dry run that was not one',
      "config:\n  dryRun: true\n  source: {filters: []}\n  target: {aws: {accountId: '123456789012', region: eu-west-1}}\n",
      [
        'values.yaml:2:11: config.dryRun: k8s-image-swapper never read it, and it is honoured here: nothing is swapped or copied: set it to false when you switch over',
      ],
    ],
    [
      'an account that Helm makes a number of',
      'config:\n  source: {filters: []}\n  target: {aws: {accountId: 012345678901, region: eu-west-1}}\n',
      [
        'values.yaml:3:29: config.target.aws.accountId: is not in quotes, and Helm reads numbers: a leading zero is lost, and long ones are rounded: it is written as "012345678901"',
      ],
    ],
    [
      'an account that has lost its zero',
      "config:\n  source: {filters: []}\n  target: {aws: {accountId: '12345678901', region: eu-west-1}}\n",
      [
        'values.yaml:3:29: config.target.aws.accountId: "12345678901" has 11 digits, and AWS accounts have 12: a leading zero was lost, because Helm reads unquoted digits as a number: write accountId: "012345678901"',
      ],
    ],
    [
      'the section of another cloud, and a deadline that serve refuses',
      'config:\n  source: {filters: []}\n  imageCopyPolicy: immediate\n  imageCopyDeadline: 30s\n  target: {type: oci, aws: {disable: true}, oci: {registry: r.example.com}}\n',
      [
        'values.yaml:4:22: config.imageCopyDeadline: 30s is longer than the API server waits for a webhook: it is written as 28s',
        'values.yaml:5:23: config.target.aws: is not read, because type is oci: left out',
        'values.yaml:5:29: config.target.aws.disable: unknown key: expected one of accountId, region, endpoint, role, ' +
          'externalId, roleSessionName, prefix, ecrOptions, repositories, quotas',
      ],
    ],
    [
      'the default filter of the chart',
      "config:\n  target: {aws: {accountId: '123456789012', region: eu-west-1}}\n",
      [
        "values.yaml:1:1: config.source.filters: is not given, and the default of k8s-image-swapper's chart leaves out kube-system: it is written out",
      ],
    ],
    [
      'an unknown key of the configuration',
      "config:\n  cacheTtlMinutes: 60\n  source: {filters: []}\n  target: {aws: {accountId: '123456789012', region: eu-west-1}}\n",
      [expect.stringMatching(/^values\.yaml:2:3: config\.cacheTtlMinutes: unknown key: expected one of /)] as never,
    ],
    [
      'an unknown value',
      `${config}replicacount: 3\n`,
      [
        'values.yaml:2:1: replicacount: the chart of k8s-image-swapper has no such value (did you mean "replicaCount"?): left out',
      ],
    ],
    [
      'a filter that does not compile',
      "config:\n  source: {filters: [{jmespath: 'obj.'}]}\n  target: {aws: {accountId: '123456789012', region: eu-west-1}}\n",
      [
        expect.stringMatching(/^values\.yaml:2:\d+: config\.source\.filters\[0\]\.jmespath: the expression ends/),
      ] as never,
    ],
    [
      "Google's trust in the ServiceAccount",
      `${config}serviceAccount:\n  annotations: {iam.gke.io/gcp-service-account: a@b}\n`,
      [
        'values.yaml:3:3: serviceAccount.annotations: roles/iam.workloadIdentityUser is bound to a namespace and a ServiceAccount: bind those of ours, too',
      ],
    ],
    [
      'too little memory',
      `${config}resources: {limits: {memory: 128Mi}}\n`,
      [
        'values.yaml:2:1: resources: a memory limit of 128Mi is less than the service needs while it copies: give 256Mi or more',
      ],
    ],
  ])('tells of %s', (_, text, lines) => {
    expect(run(text).lines).toEqual(lines);
  });

  it('keeps zeros, and writes what the old chart had by default', () => {
    const { values } = run('config:\n  target: {aws: {accountId: 012345678901, region: eu-west-1}}\n');
    expect(values).toMatchObject({
      config: {
        source: { filters: [{ jmespath: "obj.metadata.namespace == 'kube-system'" }] },
        target: { type: 'aws', aws: { accountId: '012345678901' } },
      },
    });
  });

  it.each(['kyverno', 'gatekeeper', 'none'] as const)(
    'tells that selectors of the webhook are not for %s',
    (engine) => {
      const text = `${config}webhook:\n  objectSelector: {matchLabels: {a: b}}\n  namespaceSelector: {}\n`;
      const { values, lines } = run(text, engine);
      expect(values).not.toHaveProperty('webhook');
      expect(lines).toEqual([
        'values.yaml:3:3: webhook.objectSelector: is for policies.engine: webhook only: say it in config.source.filters',
      ]);
    },
  );

  it.each([
    ['Fail', true],
    ['Ignore', false],
  ])('turns failurePolicy %s into failClosed: %s', (policy, failClosed) => {
    expect(run(`${config}webhook: {failurePolicy: ${policy}}\n`).values).toMatchObject({ policies: { failClosed } });
  });

  it('adds no filter to a configuration file: it has none by default', () => {
    const text = "target: {aws: {accountId: '123456789012', region: eu-west-1}}\n";
    expect(run(text, 'kyverno', '.k8s-image-swapper.yaml')).toEqual({
      values: {
        config: { target: { type: 'aws', aws: { accountId: '123456789012', region: 'eu-west-1' } } },
        policies: { engine: 'kyverno' },
      },
      lines: [],
    });
  });

  it.each([
    ['no YAML', 'config: [', /^values\.yaml:1:\d+: YAML/],
    ['something else', 'name: x\n', /neither values of k8s-image-swapper's chart nor its configuration file/],
    ['nothing', '', /neither values/],
    ['a list', '- a\n', /neither values/],
  ])('refuses %s', (_, text, message) => {
    expect(() => run(text)).toThrow(message);
  });
});
