import { describe, expect, it } from 'vitest';
import type { Config } from '../../../extension-service/src/core/config/model.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { policiesForConfig } from '../../../extension-service/src/core/engines/for-config.js';
import type { EngineName } from '../../../extension-service/src/core/engines/names.js';
import { configOf, ociTarget } from '../decide/rules-of.js';
import { CA } from './example-options.js';

function secondsOf(engine: EngineName, config: Partial<Config>, timeoutSeconds?: number): string | undefined {
  const given = timeoutSeconds === undefined ? {} : { timeoutSeconds };
  const ca = engine === 'kyverno' ? {} : { caBundle: CA };
  const text = JSON.stringify(
    policiesForConfig(configOf(config), { engine, nameTarget: namingTarget, ...ca, ...given }),
  );
  return /"timeout(?:Seconds)?":(\d+)/.exec(text)?.[1];
}
const force = (registry: string) => ociTarget(registry, { imageCopyPolicy: 'force' });

describe.each(['kyverno', 'kyverno-clusterpolicy', 'webhook'] as const)(
  'the timeout of the policies of %s',
  (engine) => {
    it.each<readonly [string, Partial<Config>, string]>([
      ['is the default when nothing waits', { imageCopyDeadline: 20_000 }, '3'],
      ['covers the wait for copies', { imageCopyPolicy: 'immediate', imageCopyDeadline: 20_000 }, '22'],
      ['covers a part of a second', { imageCopyPolicy: 'immediate', imageCopyDeadline: 20_001 }, '23'],
      ['covers the wait of one target', { target: force('a.test'), imageCopyDeadline: 15_000 }, '17'],
      ['covers the wait of one of several', { targets: [force('a.test')], imageCopyDeadline: 15_000 }, '17'],
      [
        'is the default when every target overrides the policy',
        {
          imageCopyPolicy: 'force',
          target: ociTarget('a.test', { imageCopyPolicy: 'delayed' }),
          imageCopyDeadline: 15_000,
        },
        '3',
      ],
      ['is short where the wait is', { imageCopyPolicy: 'force', imageCopyDeadline: 1_500 }, '4'],
      ['is never shorter than the usual one', { imageCopyPolicy: 'force', imageCopyDeadline: 0 }, '3'],
      ['is never longer than the API server takes', { imageCopyPolicy: 'force', imageCopyDeadline: 60_000 }, '30'],
    ])('%s', (_, config, seconds) => {
      expect(secondsOf(engine, config)).toBe(seconds);
    });

    it('is the configured value', () => {
      expect(secondsOf(engine, { imageCopyPolicy: 'force', imageCopyDeadline: 20_000 }, 5)).toBe('5');
    });
  },
);

describe('the timeout of the policies of Gatekeeper', () => {
  it('does not depend on waiting copies', () => {
    expect(secondsOf('gatekeeper', { imageCopyPolicy: 'force', imageCopyDeadline: 20_000 })).toBe('1');
  });
});

describe('policies with source.directTarget: refuse', () => {
  const source = {
    ...configOf().source,
    directTarget: 'refuse' as const,
    filters: [{ jmespath: "obj.metadata.namespace == 'a'" }],
  };
  const render = (engine: EngineName, more: Partial<Config> = { source }, failClosed = true) =>
    JSON.stringify(
      policiesForConfig(configOf(more), {
        engine,
        failClosed,
        nameTarget: namingTarget,
        ...(engine !== 'kyverno' && { caBundle: CA }),
      }),
    );
  const keep = { source: { ...source, directTarget: 'keep' as const } };

  it.each(['kyverno', 'kyverno-clusterpolicy', 'webhook'] as const)(
    'of %s send every Pod, including opt-outs and images of targets, and have another hash',
    (engine) => {
      const skipConditions = /image-swapper\.io\/skip|metadata\.namespace|outside-targets|\?!image/;
      expect(render(engine, keep)).toMatch(skipConditions);
      expect(render(engine)).not.toMatch(skipConditions);
      const hash = (text: string): string | undefined => /"image-swapper.io\/config-hash":"(\w+)"/.exec(text)?.[1];
      expect(hash(render(engine))).not.toBe(hash(render(engine, keep)));
    },
  );

  it('are not called again by the API server for a swapped Pod', () => {
    expect(render('webhook', keep)).toContain('"reinvocationPolicy":"IfNeeded"');
    expect(render('webhook')).toContain('"reinvocationPolicy":"Never"');
  });

  it.each<readonly [EngineName, boolean]>([
    ['kyverno', false],
    ['kyverno-clusterpolicy', false],
    ['gatekeeper', true],
  ])('are refused for %s with failClosed %s, which would let such Pods pass', (engine, failClosed) => {
    expect(() => render(engine, { source }, failClosed)).toThrow(/source\.directTarget/);
  });

  it('are refused for gatekeeper with source.accessCheck', () => {
    const checked = { source: { ...configOf().source, accessCheck: 'pullSecrets' as const } };
    expect(() => render('gatekeeper', checked)).toThrow(/source\.accessCheck: is pullSecrets/);
    expect(render('webhook', checked)).toContain('MutatingWebhookConfiguration');
  });
});

describe('policies with pods.pullSecret and pods.annotate', () => {
  const textOf = (engine: EngineName, config: Partial<Config>) =>
    JSON.stringify(
      policiesForConfig(configOf(config), {
        engine,
        nameTarget: namingTarget,
        ...(engine !== 'kyverno' && { caBundle: CA }),
      }),
    ).replaceAll('\\"', '"');

  it.each<readonly [EngineName, readonly string[]]>([
    [
      'kyverno',
      ['variables.additions[?"pullSecret"].orValue("")) == "mirror-login"', 'value: {"name": "mirror-login"}'],
    ],
    ['kyverno-clusterpolicy', ["[?pullSecret == 'mirror-login']", '"imagePullSecrets":[{"name":"mirror-login"}]']],
  ])('of %s accept only this Secret name', (engine, expected) => {
    const text = textOf(engine, { pods: { pullSecret: 'mirror-login', annotate: false } });
    for (const one of expected) expect(text).toContain(one);
    expect(text).not.toContain('original-images');
  });

  it.each<readonly [EngineName, string]>([
    ['kyverno', '.orValue("")).matches("^[{]'],
    ['kyverno-clusterpolicy', "regex_match('^[{]"],
  ])('of %s accept the annotation only with names and references', (engine, expected) => {
    const text = textOf(engine, { pods: { annotate: true } });
    expect(text).toContain(expected);
    expect(text).not.toContain('imagePullSecrets');
  });

  it.each<readonly [EngineName]>([['kyverno'], ['kyverno-clusterpolicy'], ['webhook']])(
    'of %s refuse a name that no Secret can have',
    (engine) => {
      for (const pullSecret of ['Login', "a'b", 'a"b', '{{ x }}', '', 'a'.repeat(254)])
        expect(() => textOf(engine, { pods: { pullSecret, annotate: false } })).toThrow(/^pods\.pullSecret: /);
    },
  );

  it.each<readonly [EngineName]>([['kyverno'], ['kyverno-clusterpolicy'], ['webhook'], ['gatekeeper']])(
    'of %s belong to another configuration after each change of a key that they depend on',
    (engine) => {
      const { source } = configOf();
      const configs: Partial<Config>[] = [
        {},
        { source: { ...source, operators: [{ apiGroup: 'example.com', kind: 'Database' }] } },
        { source: { ...source, volumes: false } },
        ...(engine === 'gatekeeper'
          ? []
          : [
              { pods: { annotate: true } },
              { pods: { pullSecret: 'one', annotate: false } },
              { pods: { pullSecret: 'two', annotate: false } },
            ]),
      ];
      const hashes = configs.map((config) => /config-hash":"(\w+)"/.exec(textOf(engine, config))?.[1]);
      expect(new Set(hashes).size).toBe(configs.length);
    },
  );

  it.each<readonly [EngineName]>([['kyverno'], ['kyverno-clusterpolicy'], ['webhook']])(
    'of %s contain no additions when neither is set',
    (engine) => {
      expect(textOf(engine, {})).not.toMatch(/imagePullSecrets|original-images|additions/);
    },
  );
});

describe('policies of Kyverno about images that the node never pulls', () => {
  it.each<readonly [EngineName, readonly string[]]>([
    [
      'kyverno',
      [
        '(has(c.imagePullPolicy) && c.imagePullPolicy == \\"Never\\")',
        '(has(e.image) && has(e.image.pullPolicy) && e.image.pullPolicy == \\"Never\\")',
      ],
    ],
    ['kyverno-clusterpolicy', ["(imagePullPolicy || '') == 'Never'", 'imagePullPolicy: image.pullPolicy']],
  ])('of %s avoid the call for containers and volumes', (engine, expected) => {
    const text = JSON.stringify(
      policiesForConfig(configOf({}), {
        engine,
        nameTarget: namingTarget,
        ...(engine !== 'kyverno' && { caBundle: CA }),
      }),
    );
    for (const one of expected) expect(text).toContain(one);
  });
});
