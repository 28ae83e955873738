import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { digestFault, statedDigest } from '../../../extension-service/src/registry/digests.js';

const asked = { host: 'r.example', method: 'HEAD', url: new URL('https://r.example/v2/app/manifests/1') };
const answer = (digest: string | undefined): IncomingMessage =>
  ({ headers: { 'docker-content-digest': digest } }) as unknown as IncomingMessage;

describe('statedDigest', () => {
  it.each([
    ['sha256', 64],
    ['sha384', 96],
    ['sha512', 128],
  ])('reads a %s digest of %i digits', (algorithm, length) => {
    const digest = `${algorithm}:${'a'.repeat(length)}`;
    expect(statedDigest(answer(digest), asked)).toBe(digest);
  });

  it('reads one digest that a proxy has written twice', () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    expect(statedDigest(answer(`${digest}, ${digest}`), asked)).toBe(digest);
  });

  it.each([undefined, ''])('is undefined when the header is %j', (header) => {
    expect(statedDigest(answer(header), asked)).toBeUndefined();
  });

  it.each([
    '../../../corp.example/app/manifests/1',
    '..',
    `sha256:${'a'.repeat(63)}`,
    `sha256:${'a'.repeat(65)}`,
    `sha256:${'A'.repeat(64)}`,
    `sha384:${'a'.repeat(64)}`,
    `sha512:${'a'.repeat(64)}`,
    `sha256:${'a'.repeat(64)}\n`,
    ` sha256:${'a'.repeat(64)}`,
    `sha256:${'a'.repeat(64)}/../x`,
    `sha256:${'a'.repeat(64)}, sha256:${'b'.repeat(64)}`,
    `sha256:${'%61'.repeat(21)}a`,
    'sha256:',
    'latest',
    'sha256:../../x',
  ])('refuses %j', (text) => {
    expect(() => statedDigest(answer(text), asked)).toThrow(
      /the Docker-Content-Digest ".*"(?: \(\d+ characters\))? is not a digest/,
    );
  });

  it.each(['md5:d41d8cd98f00b204e9800998ecf8427e', `sha1:${'a'.repeat(40)}`, `blake3:${'a'.repeat(64)}`])(
    'names the algorithm of %s, which is not supported',
    (text) => {
      expect(() => statedDigest(answer(text), asked)).toThrow(
        `algorithm ${text.split(':')[0] ?? ''} is not supported (expected sha256, sha384 or sha512)`,
      );
    },
  );

  it('escapes control characters and shortens long texts', () => {
    expect(digestFault('\u009b31m')).toContain('"\\u009b31m"');
    expect(digestFault('x'.repeat(100_000)).length).toBeLessThan(400);
  });
});
