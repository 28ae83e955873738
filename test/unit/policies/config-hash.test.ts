import { describe, expect, it } from 'vitest';
import { parse as parseYaml, stringify } from 'yaml';
import { ConfigError } from '../../../extension-service/src/config/problem.js';
import type { Config } from '../../../extension-service/src/core/config/model.js';
import { policyHash } from '../../../extension-service/src/core/engines/config-hashes.js';
import { engineOf } from '../../../extension-service/src/core/engines/engines.js';
import type { ImageTables } from '../../../extension-service/src/core/engines/engine.js';
import { decidedTargets, policiesForConfig } from '../../../extension-service/src/core/engines/for-config.js';
import { basesOf } from '../../../extension-service/src/core/engines/mutating-admission-policy/admission-policy.js';
import { imageTable } from '../../../extension-service/src/core/engines/mutating-admission-policy/image-table.js';
import { parseReference } from '../../../extension-service/src/core/image/reference.js';
import { targetReference } from '../../../extension-service/src/core/naming/name.js';
import { InvalidPolicyOptionError } from '../../../extension-service/src/core/policies/problem.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { baseOf, inFile, SAMPLES } from '../config/key-samples.js';
import { parse } from '../config/parsing.js';
import { CA } from './example-options.js';

/** The engines in each form, by the keys that select it. */
const FORMS: Readonly<Record<string, { readonly policies: object; readonly more?: object }>> = {
  kyverno: { policies: { engine: 'kyverno' } },
  'kyverno with the table': { policies: { engine: 'kyverno', table: true, manage: true } },
  'kyverno-clusterpolicy': { policies: { engine: 'kyverno-clusterpolicy' } },
  gatekeeper: { policies: { engine: 'gatekeeper' } },
  webhook: { policies: { engine: 'webhook' } },
  'the API server with a table': { policies: { engine: 'mutatingadmissionpolicy', manage: true } },
  'the API server, computing names': {
    policies: { engine: 'mutatingadmissionpolicy' },
    more: { imageSwapPolicy: 'always' },
  },
  'the API server with a webhook': {
    policies: { engine: 'mutatingadmissionpolicy', manage: true, undecidable: 'webhook' },
    more: { source: { filters: [{ jmespath: 'obj.spec.hostNetwork' }] } },
  },
};

/**
 * How policies are written and called, which flags and props also set: their name, address and credentials. Their failure
 * policy, excluded namespaces and timeout are among them.
 */
const CALLS =
  /^(policies(\.(manage|name|url|failClosed|excludedNamespaces))?|auth(\.(kyverno|webhook)(\..+)?)?|imageCopyDeadline|(target\.)?imageCopyPolicy)$/;

/** Keys that an engine leaves to the service, or to the content of the table: policies for other values are still outdated. */
const LEFT: Readonly<Record<string, RegExp>> = {
  gatekeeper: /^source\.filters$/,
  // Nothing checks the answers of the service, so the service's own decisions count.
  webhook: /^(source\.(filters|volumes)|pods(\..+)?|targets?(\..+)?)$/,
  'the API server with a table': /^source\.accessCheck$/,
  'the API server with a webhook': /^source\.accessCheck$/,
};

type Tree = Record<string, unknown>;

/** The configuration in the form, with the key where it does not contradict it; undefined if it is invalid. */
function configOf(text: string, { policies, more = {} }: (typeof FORMS)[string]): Config | undefined {
  const written = parseYaml(text) as Tree;
  const merged = { ...more, ...written, policies: { ...(written['policies'] as Tree | undefined), ...policies } };
  for (const [key, value] of Object.entries(more)) {
    if (typeof value === 'object' && value !== null)
      merged[key as keyof typeof merged] = { ...value, ...(written[key] as object | undefined) } as never;
  }
  try {
    return parse(stringify(merged)).config;
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

interface Rendered {
  /** The policies without their hash. */
  readonly policies: string;
  readonly hash: string;
}

/** One image in each target. */
function tablesOf(config: Config): ImageTables {
  const targets = decidedTargets(config, namingTarget);
  const entries = targets.flatMap(({ naming }) => {
    const source = parseReference([...(naming.paths?.keys() ?? ['docker.io'])][0] + '/library/app:1');
    const { registry, repository } = targetReference(naming, source);
    return [{ source, target: naming.name, registry, repository }];
  });
  return { large: imageTable(entries, basesOf(targets)), recent: imageTable([], basesOf(targets)) };
}

function rendered(config: Config | undefined): Rendered | undefined {
  const engine = config && engineOf(config.policies);
  if (config === undefined || engine === undefined) return undefined;
  const hash = policyHash(config, engine, namingTarget);
  const { name, failClosed, manage, url } = config.policies;
  const needsCa = engine.transport?.ca.required === true;
  try {
    const objects = policiesForConfig(config, {
      ...{ engine: engine.name, name, failClosed, managed: manage, nameTarget: namingTarget },
      ...(url !== undefined && { url }),
      ...(needsCa && { caBundle: CA }),
      ...(engine.table === 'literals' && { tables: tablesOf(config) }),
    });
    const text = JSON.stringify(objects);
    expect(text, 'the policies contain their hash').toContain(`"image-swapper.io/config-hash":"${hash}"`);
    return { policies: text.replaceAll(hash, '').replaceAll(/"image-swapper.io.table-hash":"\w+"/g, ''), hash };
  } catch (error) {
    if (error instanceof InvalidPolicyOptionError) return undefined;
    throw error;
  }
}

describe.each(Object.entries(FORMS))('the hash of policies for %s', (name, form) => {
  it('changes with each key that decides which Pods get which images, and with no other key', () => {
    const faults: string[] = [];
    for (const [key, samples] of Object.entries(SAMPLES)) {
      const [before, ...after] = [baseOf(key), ...samples.map((sample) => inFile(key, sample))].flatMap(
        (text) => rendered(configOf(text, form)) ?? [],
      );
      for (const one of after) {
        if (before === undefined || CALLS.test(key)) continue;
        const [isOther, isHashOther] = [one.policies !== before.policies, one.hash !== before.hash];
        if (!isOther && LEFT[name]?.test(key) === true) continue;
        if (isOther !== isHashOther)
          faults.push(`${key}: ${isOther ? 'missing in the hash' : 'needlessly in the hash'}`);
      }
    }
    expect([...new Set(faults)]).toEqual([]);
  });
});
