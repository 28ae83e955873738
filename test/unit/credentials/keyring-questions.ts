import fc from 'fast-check';
import { parseDockerConfig } from '../../../extension-service/src/credentials/docker-config.js';
import { matchDockerConfig } from '../../../extension-service/src/credentials/keyring.js';
import { parseReference } from '../../../extension-service/src/core/image/reference.js';

/** An image and the credentials of a Pod. The answer is the list of credentials to try. */
export interface KeyringQuestion {
  /** Keys of the Docker configs in a Pod's Secrets, in the order of the Secrets. Each key has its own user. */
  readonly secrets: readonly (readonly string[])[];
  /** Image reference, as in a Pod. */
  readonly image: string;
}

/** `auths` of each Secret. A user name contains the index of the Secret and of the key: `0.2`. */
export function documents({ secrets }: KeyringQuestion): { readonly auths: Readonly<Record<string, object>> }[] {
  return secrets.map((keys, secret) => ({
    auths: Object.fromEntries(keys.map((key, place) => [key, { username: `${secret}.${place}`, password: 'p' }])),
  }));
}

/** The users in the order in which our code tries them. */
export function answerOfKeyring(question: KeyringQuestion): string[] {
  const entries = documents(question).flatMap((document) => parseDockerConfig(JSON.stringify(document), 'test'));
  const { registry, repository } = parseReference(question.image);
  return matchDockerConfig(entries, registry, repository).map((found) => ('username' in found ? found.username : ''));
}

const label = fc.constantFrom('docker', 'index', 'example', 'io', 'a', 'ab', 'r-1', '10');
const glob = fc.oneof(
  { weight: 3, arbitrary: label },
  fc.constantFrom('*', 'a*', '*b', 'r-*', '*a*', '**', 'e*mp*e', '*x*m*', 'i*'),
);
const port = fc.constantFrom('', '', '', ':5000', ':443', ':80');
const path = fc.array(fc.constantFrom('team', 'teams', 'te', 'app', 'v1', 'v2', 'library'), { maxLength: 3 });

const dotted = (part: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('.'));

const hosts = (part: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.tuple(dotted(part), port).map((parts) => parts.join('')) },
    fc.constantFrom('docker.io', 'index.docker.io', 'localhost:5000'),
  );

/** Keys in common forms: with and without a scheme, an API version, a path, and a trailing slash. */
const key = fc
  .tuple(fc.constantFrom('', '', 'https://', 'http://'), hosts(glob), path, fc.constantFrom('', '', '/'))
  .map(([scheme, host, parts, end]) => `${scheme}${[host, ...parts].join('/')}${end}`);

const image = fc
  .tuple(fc.option(hosts(label), { nil: undefined }), path, fc.constantFrom('app', 'team', 'x'))
  .map(([host, parts, last]) => [...(host === undefined ? [] : [host]), ...parts, last].join('/'));

/**
 * A key that resembles the image: the host has the same number of labels, many of them equal, and the path is a prefix
 * of the path of the image.
 */
function similar(asked: string): fc.Arbitrary<string> {
  const [first = '', ...rest] = asked.split('/');
  const named = /[.:]/.test(first) || first === 'localhost';
  const host = named ? first : 'docker.io';
  const [, name = host, end = ''] = /^(.*?)(:\d+)?$/.exec(host) ?? [];
  const parts = named ? rest : [first, ...rest];
  const labels = name.split('.').map((part) => fc.oneof(fc.constant(part), fc.constant('*'), glob));
  return fc
    .tuple(
      fc.constantFrom('', 'https://'),
      fc.tuple(...labels).map((all) => all.join('.')),
      fc.oneof({ weight: 4, arbitrary: fc.constant(end) }, port),
      fc.constantFrom('', '/v1', '/v2'),
      fc.nat(parts.length).map((count) => parts.slice(0, count)),
      fc.constantFrom('', '/'),
    )
    .map(([scheme, all, to, version, prefix, slash]) => {
      return `${scheme}${all}${to}${version}${prefix.map((part) => `/${part}`).join('')}${slash}`;
    });
}

export const keyringQuestion: fc.Arbitrary<KeyringQuestion> = image.chain((asked) => {
  const some = fc.oneof({ weight: 4, arbitrary: similar(asked) }, key);
  return fc
    .array(fc.uniqueArray(some, { maxLength: 5 }), { minLength: 1, maxLength: 3 })
    .map((secrets) => ({ secrets, image: asked }));
});
