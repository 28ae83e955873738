import fc from 'fast-check';
import { anyCharacter } from '../characters.js';
import { repositoryLengthLimit } from '../../../extension-service/src/core/image/reference.js';

/** Valid and almost valid image references, mostly edge cases for escapes, marks and length limits. */

const word = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: fc.constantFrom('a', 'x', '2', '0'), minLength: 1, maxLength: 4 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('nginx', 'library', 'mirror', 'mirror2', 'x2', 'xx2', 'x64', 'short', 'host'),
  },
  { weight: 1, arbitrary: fc.constantFrom('ipv6', 'localhost', 'keep', 'sha256', '5000', 'f'.repeat(64), 'docker') },
);

function joined(separators: readonly string[], most: number) {
  return fc
    .tuple(word, fc.array(fc.tuple(fc.constantFrom(...separators), word), { maxLength: most }))
    .map(([first, rest]) => first + rest.flat().join(''));
}

const pathComponent = joined(['.', '_', '__', '-', '--', '---', '-----'], 4);
const label = joined(['-', '--', '---'], 3);

const domain = fc.oneof(
  { weight: 4, arbitrary: fc.array(label, { minLength: 2, maxLength: 4 }).map((labels) => labels.join('.')) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('docker.io', 'index.docker.io', 'registry-1.docker.io', 'quay.io', 'ghcr.io'),
  },
  { weight: 2, arbitrary: fc.constantFrom('localhost', '127.0.0.1', 'xn--bcher-kva.example', 'registry.local') },
  {
    weight: 2,
    arbitrary: fc
      .string({ unit: fc.constantFrom(':', '2', 'a', 'F'), minLength: 1, maxLength: 9 })
      .map((hex) => `[${hex}:]`),
  },
);
const port = fc.oneof(fc.constant(''), fc.constantFrom(':443', ':5000', ':80', ':2', ':05000'));
const registry = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(domain, port).map(([host, suffix]) => host + suffix) },
  { weight: 1, arbitrary: fc.tuple(label, fc.constantFrom(':5000', ':2')).map(([host, suffix]) => host + suffix) },
  { weight: 1, arbitrary: label.map((host) => `A${host.toUpperCase()}`) },
  { weight: 1, arbitrary: fc.array(label, { minLength: 12, maxLength: 40 }).map((labels) => labels.join('.')) },
);

const path = fc
  .oneof(
    { weight: 5, arbitrary: fc.array(pathComponent, { minLength: 1, maxLength: 4 }) },
    { weight: 1, arbitrary: fc.array(pathComponent, { minLength: 20, maxLength: 60 }) },
  )
  .map((parts) =>
    parts
      .join('/')
      .slice(0, repositoryLengthLimit - 'library/'.length)
      .replace(/[^a-z0-9]+$/, ''),
  );

const tag = fc.oneof(
  fc.constantFrom('latest', '1.27', 'V1_x', 'keep-0123456789ab', '__', 'a'.repeat(128)),
  fc.string({ unit: fc.constantFrom('A', 'z', '0', '_'), minLength: 1, maxLength: 5 }),
);
const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });
export const sha256Digest = hex(64).map((digits) => `sha256:${digits}`);
const digest = fc.oneof(
  { weight: 6, arbitrary: sha256Digest },
  { weight: 1, arbitrary: hex(128).map((digits) => `sha512:${digits}`) },
  { weight: 1, arbitrary: hex(96).map((digits) => `sha384:${digits}`) },
);
const suffix = fc.oneof(
  fc.constant(''),
  tag.map((text) => `:${text}`),
  digest.map((text) => `@${text}`),
  fc.tuple(tag, digest).map(([name, content]) => `:${name}@${content}`),
);

// A first component with a dot would be a host, and not always a valid one.
const hubPath = path.map((text) =>
  text.replace(/^[^/]*/, (first) => first.replaceAll('.', '-').replace('localhost', 'x')),
);

/** A host that may be too long for DNS, but not so long that the whole reference is refused for its length. */
const boundedRegistry = registry.map((text) => (text.length <= 480 ? text : `${text.slice(0, 470)}a.b:5000`));

/** A valid reference, with or without a host. */
export const legalReferenceText = fc
  .oneof(
    { weight: 1, arbitrary: fc.tuple(hubPath, suffix).map((parts) => parts.join('')) },
    {
      weight: 4,
      arbitrary: fc.tuple(boundedRegistry, path, suffix).map(([host, rest, end]) => `${host}/${rest}${end}`),
    },
  )
  // A reference of exactly 64 hexadecimal digits is invalid.
  .map((text) => (/^[a-f0-9]{64}$/.test(text) ? `${text}:1` : text));

const noise = fc.constantFrom(...'/:@._-[]A %\u0000\u212a\u00e9\n'.split(''), '//', '::', '@sha256:', 'library/', '..');

/** A valid reference with a few characters inserted, removed or doubled, or random text. */
export const hostileReferenceText = fc.oneof(
  { weight: 1, arbitrary: legalReferenceText },
  {
    weight: 3,
    arbitrary: fc
      .tuple(legalReferenceText, fc.array(fc.tuple(fc.nat(), fc.nat(2), noise), { minLength: 1, maxLength: 3 }))
      .map(([text, edits]) =>
        edits.reduce((edited, [where, taken, put]) => {
          const at = where % (edited.length + 1);
          return edited.slice(0, at) + put + edited.slice(at + taken);
        }, text),
      ),
  },
  { weight: 1, arbitrary: fc.string({ unit: anyCharacter, maxLength: 40 }) },
  { weight: 1, arbitrary: fc.string({ unit: fc.constantFrom(...'aA0.:/@_-[]'.split('')), maxLength: 24 }) },
);
