import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  computedNames,
  namesUnderPaths,
} from '../../extension-service/src/core/engines/mutating-admission-policy/computed-names.js';
import { keysOf } from '../../extension-service/src/core/engines/mutating-admission-policy/reference-cel.js';
import { staticTargets } from '../../extension-service/src/core/engines/mutating-admission-policy/static-target.js';
import {
  InvalidReferenceError,
  parseReference,
  referenceName,
} from '../../extension-service/src/core/image/reference.js';
import { findTarget } from '../../extension-service/src/core/naming/origin.js';
import { refusalOf, targetReference, targetRepository } from '../../extension-service/src/core/naming/name.js';
import type { NamingTarget } from '../../extension-service/src/core/naming/target.js';
import type { Reference } from '../../extension-service/src/core/image/reference.js';
import { evaluateCel } from '../tools/cel.js';
import { goToolsAvailable } from '../tools/tool.js';
import { hostileReferenceText, legalReferenceText } from '../unit/image/arbitraries.js';

const available = await goToolsAvailable('references in CEL');
const SEED = Number(process.env['REFERENCES_SEED'] ?? Date.now() % 2 ** 31);

const WRITTEN = [
  ...[
    'nginx',
    'nginx:1',
    'docker.io/nginx',
    'index.docker.io/library/nginx:1',
    'INDEX.docker.io/nginx',
    'bitnami/redis:7',
  ],
  ...[
    'localhost/x',
    'localhost:5000/x:1',
    'Intranet/a/b',
    'GHCR.io/a/b:1',
    '[::1]:5000/q',
    'a.b/c',
    'a:443/b',
    'a/b/c',
  ],
  ...[`nginx@sha256:${'a'.repeat(64)}`, `nginx:1@sha256:${'a'.repeat(64)}`, `nginx:@sha256:${'a'.repeat(64)}`],
  ...[
    '',
    ':',
    '/',
    '@',
    'a/',
    '/a',
    'a:',
    'a:b:c',
    'a@b@c',
    'a/b:c/d',
    'a b',
    'a:1 2',
    ' a',
    'a\n',
    'A',
    'a/B',
    'é',
    '🦙',
  ],
  ...[
    'a'.repeat(64),
    `${'a'.repeat(64)}:1`,
    `a/${'a'.repeat(64)}`,
    'a'.repeat(300),
    'a'.repeat(1025),
    `a:${'b'.repeat(129)}`,
  ],
  ...[
    'ghcr.io/x--y/z__a:1',
    'my_registry.local/x',
    'a-.b/c',
    'mirror.example.com/m/x:1',
    'mirror.example.com:443/m/x',
    'mirror.example.com/n',
  ],
];

interface Key {
  readonly dir: string;
  readonly name: string;
  readonly shown: string;
  readonly separator: string;
}

/** References as users write them, and texts that only resemble one. */
const texts = [
  ...WRITTEN,
  ...fc.sample(legalReferenceText, { numRuns: 1_500, seed: SEED }),
  ...fc.sample(hostileReferenceText, { numRuns: 1_500, seed: SEED }),
];

describe.skipIf(!available)('references in CEL', () => {
  it('have the same key as the parsed reference of the service', async () => {
    // Keys do not contain spaces, so the text after the fourth space is the reference.
    const lines = await evaluated(`${keysOf('refs.map(ref, string(ref))')}.transformList(ref, k, ${KEY} + ref)`);
    const keys = new Map(
      lines.map(([dir = '', name = '', shown = '', separator = '', ...ref]) => [
        ref.join(' '),
        { dir, name, shown, separator },
      ]),
    );
    const differences = texts.flatMap((ref): readonly object[] => {
      const key = keys.get(ref);
      const source = parsed(ref);
      // A text that is not a reference may have a key, but no entry of the table may have the same key.
      if (source === undefined) return isKeyOfReference(key) ? [{ ref, key }] : [];
      const expected = `${source.registry}/${source.repository} ${referenceName(source)} ${source.digest === undefined ? ':' : '@'}`;
      const found = key === undefined ? undefined : `${key.dir}/${key.name} ${key.shown} ${key.separator}`;
      return found === expected ? [] : [{ ref, found, expected }];
    });
    expect(differences.slice(0, 5), `REFERENCES_SEED=${SEED} repeats this`).toEqual([]);
  });

  it.each([
    ['mirror.example.com', 'any'],
    ['012345678901.dkr.ecr.eu-central-1.amazonaws.com', 'single'],
  ] as const)("have the service's name under the paths of %s, or none", async (host, separators) => {
    const registries = new Map([
      ['docker.io', 'm'],
      ['ghcr.io', 'git/hub'],
      ['localhost:5000', 'local'],
    ]);
    const plain = staticTargets([`${host}/`])[0] ?? never();
    const naming = { ...plain.naming, separators, paths: registries };
    const computed = namesUnderPaths({ ...plain, naming }, registries, [{ ...plain, naming }]);
    const expression = `${computed.replace('variables.keys', `(${keysOf('refs.map(ref, string(ref))')})`)}.transformList(ref, name, name + " " + ref)`;
    const names = new Map((await evaluated(expression)).map(([name = '', ...ref]) => [ref.join(' '), name]));
    const differences = texts.flatMap((ref) => {
      const name = names.get(ref);
      const source = parsed(ref);
      const stays = source === undefined || findTarget([naming], source) !== undefined;
      const expected =
        stays || refusalOf(naming, source) !== undefined ? undefined : targetReference(naming, source).text;
      return name === expected ? [] : [{ ref, name, expected }];
    });
    expect(differences.slice(0, 5), `REFERENCES_SEED=${SEED} repeats this`).toEqual([]);
    expect(names.size).toBeGreaterThan(50);
  });

  it.each([['mirror.example.com/m/'], ['012345678901.dkr.ecr.eu-central-1.amazonaws.com/']])(
    "have the service's name in %s, or none",
    async (prefix) => {
      const { naming, ...target } = staticTargets([prefix])[0] ?? never();
      const computed = computedNames({ ...target, naming }, JSON.stringify(prefix), [{ ...target, naming }]);
      const expression = `${computed.replace('variables.keys', `(${keysOf('refs.map(ref, string(ref))')})`)}.transformList(ref, name, name + " " + ref)`;
      const names = new Map((await evaluated(expression)).map(([name = '', ...ref]) => [ref.join(' '), name]));
      const differences = texts.flatMap((ref) => {
        const name = names.get(ref);
        const source = parsed(ref);
        const stays = source === undefined || findTarget([naming], source) !== undefined;
        const expected = stays ? undefined : targetReference(naming, source).text;
        const isLeftOut = name === undefined && source !== undefined && isNotComputed(naming, source);
        return name === expected || isLeftOut ? [] : [{ ref, name, expected }];
      });
      expect(differences.slice(0, 5), `REFERENCES_SEED=${SEED} repeats this`).toEqual([]);
      expect(names.size).toBeGreaterThan(50);
    },
  );
});

const KEY = 'k.dir + " " + k.name + " " + k.shown + " " + k.separator + " "';

/** Returns the words of a list, split at spaces. */
async function evaluated(expression: string): Promise<readonly (readonly string[])[]> {
  const [answer] = await evaluateCel([{ expression, variables: { refs: texts } }]);
  if (answer?.error !== undefined) throw new Error(answer.error);
  return (answer!.value as readonly string[]).map((line) => line.split(' '));
}

/** Returns whether the text is a documented exception: a name that needs a hash or a count, or an IPv6 address. */
function isNotComputed(naming: NamingTarget, source: Reference): boolean {
  const repository = targetRepository(naming, source);
  return source.registry.startsWith('[') || /_short\//.test(repository) || /_x[_/]/.test(repository);
}

function never(): never {
  throw new Error('no target');
}

function parsed(ref: string) {
  try {
    return parseReference(ref);
  } catch (error) {
    if (error instanceof InvalidReferenceError) return undefined;
    throw error;
  }
}

/** Returns whether the service could have added the key to the table. */
function isKeyOfReference(key: Key | undefined): boolean {
  if (key === undefined) return false;
  const host = key.dir.split('/')[0] ?? '';
  const source = parsed(`${key.dir.replace(host, host.toUpperCase())}/${key.name}${key.separator}${key.shown}`);
  return (
    source !== undefined &&
    referenceName(source) === key.shown &&
    `${source.registry}/${source.repository}` === `${key.dir}/${key.name}`
  );
}
