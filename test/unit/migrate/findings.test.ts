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
  it('makes the service write the policies of Gatekeeper when filters use more than images', () => {
    const target = "target: {aws: {accountId: '123456789012', region: eu-west-1}}";
    const byDefault = run(`config: {${target}}\nwebhook: {timeoutSeconds: 10}\n`, 'gatekeeper');
    expect(byDefault.values['policies']).toEqual({ engine: 'gatekeeper', manage: true });
    expect(byDefault.values['webhook']).toBeUndefined();
    expect(byDefault.lines.join('\n')).toContain('policies.manage is set to true');
    expect(byDefault.lines.join('\n')).toContain('webhook.timeoutSeconds: cannot be combined with policies.manage');

    const filter = (text: string): string => `config: {source: {filters: [{jmespath: "${text}"}]}, ${target}}\n`;
    const byImage = run(filter("contains(container.image, 'a')"), 'gatekeeper');
    expect(byImage).toMatchObject({ values: { policies: { engine: 'gatekeeper' } }, lines: [] });
    expect(byImage.values['policies']).not.toHaveProperty('manage');

    const impossible = run(filter("container.name == 'a'"), 'gatekeeper');
    expect(impossible.lines.join('\n')).toContain('config.source.filters[0]: Gatekeeper cannot decide');
    expect(impossible.values['policies']).not.toHaveProperty('manage');
  });

  it('reports nothing for values with the same meaning', () => {
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
        'values.yaml:2:11: config.dryRun: k8s-image-swapper ignored this key, but image-swapper respects it: nothing is swapped or copied: set it to false when you switch over',
      ],
    ],
    [
      'an account that Helm makes a number of',
      'config:\n  source: {filters: []}\n  target: {aws: {accountId: 012345678901, region: eu-west-1}}\n',
      [
        'values.yaml:3:29: config.target.aws.accountId: is unquoted, so Helm reads it as a number: it drops a leading zero and rounds long numbers: written as "012345678901"',
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
        'values.yaml:4:22: config.imageCopyDeadline: 30s is longer than the API server waits for a webhook: written as 28s',
        'values.yaml:5:23: config.target.aws: has no effect with type oci: left out',
        'values.yaml:5:29: config.target.aws.disable: unknown key: left out',
      ],
    ],
    [
      'the default filter of the chart',
      "config:\n  target: {aws: {accountId: '123456789012', region: eu-west-1}}\n",
      [
        'values.yaml:1:1: config.source.filters: is not set, and the k8s-image-swapper chart excludes kube-system by default: written explicitly',
      ],
    ],
    [
      'an unknown key of the configuration',
      "config:\n  cacheTtlMinutes: 60\n  rewrite: {}\n  source: {filters: []}\n  target: {aws: {accountId: '123456789012', region: eu-west-1}}\n",
      [
        'values.yaml:2:3: config.cacheTtlMinutes: is not needed: what a target has is remembered for about a minute: leave it out',
        'values.yaml:3:3: config.rewrite: unknown key: left out',
      ],
    ],
    [
      'an unknown value',
      `${config}replicacount: 3\n`,
      [
        'values.yaml:2:1: replicacount: the k8s-image-swapper chart does not have this value (did you mean "replicaCount"?): left out',
      ],
    ],
    [
      'a configuration one level too high, and so none',
      'target: {aws: {accountId: "123456789012", region: eu-west-1}}\nimage: {}\nconfig:\n  source: {filters: []}\n',
      [
        'values.yaml:1:1: target: the k8s-image-swapper chart does not have this value; did you mean config.target? At this level it had no effect: left out',
        expect.stringMatching(/^values\.yaml:3:1: config\.target: no target is configured/),
      ] as never,
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
        'values.yaml:3:3: serviceAccount.annotations: roles/iam.workloadIdentityUser is bound to a namespace and a ServiceAccount: also bind those of image-swapper',
      ],
    ],
    [
      'too little memory',
      `${config}resources: {limits: {memory: 128Mi}}\n`,
      [
        'values.yaml:2:1: resources: a memory limit of 128Mi is less than the service needs while it copies: set 256Mi or more',
      ],
    ],
  ])('reports %s', (_, text, lines) => {
    expect(run(text).lines).toEqual(lines);
  });

  it('keeps zeros and writes the defaults of the old chart', () => {
    const { values } = run('config:\n  target: {aws: {accountId: 012345678901, region: eu-west-1}}\n');
    expect(values).toMatchObject({
      config: {
        source: { filters: [{ jmespath: "obj.metadata.namespace == 'kube-system'" }] },
        target: { type: 'aws', aws: { accountId: '012345678901' } },
      },
    });
  });

  it.each(['kyverno', 'gatekeeper', 'none'] as const)(
    'reports that selectors of the webhook do not apply to %s',
    (engine) => {
      const text = `${config}webhook:\n  objectSelector: {matchLabels: {a: b}}\n  namespaceSelector: {}\n`;
      const { values, lines } = run(text, engine);
      expect(values).not.toHaveProperty('webhook');
      expect(lines).toEqual([
        'values.yaml:3:3: webhook.objectSelector: applies only with policies.engine: webhook: use config.source.filters',
      ]);
    },
  );

  it.each([
    ['Fail', true],
    ['Ignore', false],
  ])('turns failurePolicy %s into failClosed: %s', (policy, failClosed) => {
    expect(run(`${config}webhook: {failurePolicy: ${policy}}\n`).values).toMatchObject({ policies: { failClosed } });
  });

  it('adds no filter to a configuration file, which has none by default', () => {
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
    ['something else', 'name: x\n', /neither a k8s-image-swapper values file nor its configuration file/],
    ['nothing', '', /neither a k8s-image-swapper values file/],
    ['a list', '- a\n', /neither a k8s-image-swapper values file/],
  ])('refuses %s', (_, text, message) => {
    expect(() => run(text)).toThrow(message);
  });
});
