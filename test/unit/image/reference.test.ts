import { parseAll } from '@swimlane/docker-reference';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatReference,
  InvalidReferenceError,
  isDigest,
  isRepository,
  isTag,
  normalizeRegistry,
  parseReference,
} from '../../../extension-service/src/core/image/reference.js';
import type { Reference } from '../../../extension-service/src/core/image/reference.js';
import { hostileReferenceText, legalReferenceText } from './arbitraries.js';

const hex = '0123456789abcdef'.repeat(4);
const sha256 = `sha256:${hex}`;
const sha512 = `sha512:${hex}${hex}`;

/** Text, and its expected registry, repository, tag and digest. */
type Row = [text: string, registry: string, repository: string, tag: string | undefined, digest?: string];

describe('parseReference', () => {
  const rows: Row[] = [
    ['nginx', 'docker.io', 'library/nginx', 'latest'],
    ['nginx:1.27', 'docker.io', 'library/nginx', '1.27'],
    [`nginx@${sha256}`, 'docker.io', 'library/nginx', undefined, sha256],
    [`nginx:1.27@${sha256}`, 'docker.io', 'library/nginx', '1.27', sha256],
    [`nginx@${sha512}`, 'docker.io', 'library/nginx', undefined, sha512],
    [`nginx@sha384:${hex}${hex.slice(32)}`, 'docker.io', 'library/nginx', undefined, `sha384:${hex}${hex.slice(32)}`],
    ['docker.io/nginx', 'docker.io', 'library/nginx', 'latest'],
    ['index.docker.io/nginx', 'docker.io', 'library/nginx', 'latest'],
    ['index.docker.io/bitnami/redis:7', 'docker.io', 'bitnami/redis', '7'],
    ['registry-1.docker.io/library/nginx', 'registry-1.docker.io', 'library/nginx', 'latest'],
    ['docker.io/library/nginx', 'docker.io', 'library/nginx', 'latest'],
    ['bitnami/redis', 'docker.io', 'bitnami/redis', 'latest'],
    ['a/b/c/d', 'docker.io', 'a/b/c/d', 'latest'],
    ['quay.io/a/b/c/d:v1', 'quay.io', 'a/b/c/d', 'v1'],
    ['localhost/x', 'localhost', 'x', 'latest'],
    ['localhost:5000/x', 'localhost:5000', 'x', 'latest'],
    ['host:5000/x', 'host:5000', 'x', 'latest'],
    ['127.0.0.1:5000/a/b', '127.0.0.1:5000', 'a/b', 'latest'],
    ['[::1]:5000/x', '[::1]:5000', 'x', 'latest'],
    ['[2001:DB8::1]/x', '[2001:db8::1]', 'x', 'latest'],
    ['quay.io/a__b/c--d/e.f_g', 'quay.io', 'a__b/c--d/e.f_g', 'latest'],
    ['xn--bcher-kva.example/x', 'xn--bcher-kva.example', 'x', 'latest'],
    ['nginx:Tag_with.CAPS-1', 'docker.io', 'library/nginx', 'Tag_with.CAPS-1'],
    ['nginx:_', 'docker.io', 'library/nginx', '_'],
    [`${hex}:1`, 'docker.io', `library/${hex}`, '1'],
    [`library/${hex}`, 'docker.io', `library/${hex}`, 'latest'],
    [`${'a'.repeat(247)}`, 'docker.io', `library/${'a'.repeat(247)}`, 'latest'],
    [`quay.io/${'a'.repeat(255)}`, 'quay.io', 'a'.repeat(255), 'latest'],
    [`x:${'t'.repeat(128)}`, 'docker.io', 'library/x', 't'.repeat(128)],
    // Hosts are case-insensitive.
    ['EXAMPLE.com/x', 'example.com', 'x', 'latest'],
    ['Docker.IO/nginx', 'docker.io', 'library/nginx', 'latest'],
    ['INDEX.docker.io/nginx', 'docker.io', 'library/nginx', 'latest'],
    ['Localhost/x', 'localhost', 'x', 'latest'],
    ['Intranet/x', 'intranet', 'x', 'latest'],
  ];
  it.each(
    rows.map(([text, registry, repository, tag, digest]) => ({
      text,
      expected: { registry, repository, ...(tag && { tag }), ...(digest && { digest }) },
    })),
  )('reads $text', ({ text, expected }) => {
    expect(parseReference(text)).toEqual(expected);
  });

  it.each<[string, RegExp]>([
    ['', /empty/],
    [' nginx', /space/],
    ['nginx ', /space/],
    ['nginx\n', /space/],
    ['n\u0131ginx', /ASCII/],
    // The lowercase form of the Kelvin sign is an ASCII "k".
    ['\u212a8s.io/pause', /ASCII/],
    ['Nginx', /lower case: "nginx"/],
    ['quay.io/Team/App:1', /lower case: "team\/app"/],
    [hex, /64 hexadecimal digits/],
    ['nginx:', /tag/],
    ['nginx:-x', /tag/],
    [`nginx:${'t'.repeat(129)}`, /tag/],
    ['nginx:a:b', /tag/],
    ['nginx@', /digest/],
    ['nginx@sha256:abc', /digest/],
    [`nginx@sha256:${hex.toUpperCase()}`, /digest/],
    [`nginx@md5:${hex.slice(32)}`, /digest/],
    [`nginx@sha512:${hex}`, /digest/],
    [`nginx@${sha256}@${sha256}`, /digest/],
    [`@${sha256}`, /repository is missing/],
    ['/nginx', /part of the repository/],
    ['quay.io/', /repository is missing/],
    ['quay.io//x', /part of the repository/],
    ['quay.io/x/', /part of the repository/],
    ['quay.io/-x', /part of the repository/],
    ['quay.io/x_', /part of the repository/],
    ['quay.io/a___b', /part of the repository/],
    ['quay.io/a..b', /part of the repository/],
    ['quay.io/a._b', /part of the repository/],
    ['host:/x', /is not a host/],
    ['host:port/x', /is not a host/],
    ['-a.b/x', /is not a host/],
    ['a-.b/x', /is not a host/],
    ['a..b/x', /is not a host/],
    ['a.b./x', /is not a host/],
    ['[::1/x', /is not a host/],
    ['[]/x', /part of the repository/],
    ['[::ffff:1.2.3.4]/x', /is not a host/],
    ['[fe80::1%25eth0]/x', /is not a host/],
    ['my_registry.local/x', /cannot contain underscores/],
    ['https://quay.io/x', /is not a host/],
    [`quay.io/${'a'.repeat(256)}`, /longer than 255/],
    ['a'.repeat(248), /longer than 255/],
  ])('refuses %j', (text, reason) => {
    expect(() => parseReference(text)).toThrow(InvalidReferenceError);
    expect(() => parseReference(text)).toThrow(reason);
  });

  it.each(['a', 'a/', 'a.', 'a-', '_', '-', ':', '@', '[', 'a:', 'a@', 'A', '\u0000', '\u{1f600}'])(
    'rejects a megabyte of %j at once with a short message',
    (unit) => {
      const error = thrown(unit.repeat(1_000_000));
      expect(error.reason).toBe('it is longer than 1024 characters');
      expect(error.message).toContain(`\u2026" (${unit.length}000000 characters)`);
      expect(error.message.length).toBeLessThan(1000);
      expect(error.input.length).toBeLessThanOrEqual(1024);
      expect(error.message).toMatch(/^[\x20-\x7e\u2026]*$/);
    },
  );

  it('shows rejected text without allowing it to forge a log line', () => {
    const message = thrown('x"\nlevel=info msg=ok\u001b[31m\u202e\\').message;
    expect(message).toBe(
      'image "x\\"\\u000alevel=info msg=ok\\u001b[31m\\u202e\\\\": it contains a space or a non-ASCII character',
    );
  });

  it('returns the same reference for the output of formatReference', () => {
    fc.assert(
      fc.property(legalReferenceText, (text) => {
        const reference = parseReference(text);
        const written = formatReference(reference);
        expect(parseReference(written)).toEqual(reference);
        expect(formatReference(parseReference(written))).toBe(written);
        expect(reference.registry).toBe(reference.registry.toLowerCase());
      }),
      { numRuns: 1500 },
    );
  });

  it('throws nothing but InvalidReferenceError', () => {
    fc.assert(
      fc.property(hostileReferenceText, (text) => {
        expect(parsed(text)).toBeDefined();
      }),
      { numRuns: 2000 },
    );
  });
});

describe('parseReference in comparison with @swimlane/docker-reference', () => {
  // The texts are short because the independent parser takes exponential time to reject a text. The comparison with
  // distribution in test/integration/real/reference.test.ts does not have this limit.
  const shortHostileText = fc.string({ unit: fc.constantFrom(...'aA0.:/@_-[]'.split('')), maxLength: 9 });

  it('reads every legal reference as the independent parser does, except for the differences listed', () => {
    const agreed = compare(legalReferenceText);
    expect(agreed.read).toBeGreaterThan(500);
  });

  it('refuses what the independent parser refuses, except for the differences listed', () => {
    const agreed = compare(shortHostileText);
    expect(agreed.refused).toBeGreaterThan(500);
    expect(agreed.read).toBeGreaterThan(20);
  });

  /** Compares the parsers and counts the agreements, so that the known differences cannot hide most of the texts. */
  function compare(texts: fc.Arbitrary<string>) {
    const agreed = { read: 0, refused: 0 };
    fc.assert(
      fc.property(texts, (text) => {
        const theirs = independent(text);
        const ours = parsed(text);
        if (knownDifference(text, ours, theirs)) return;
        expect({ text, reference: ours }).toEqual({ text, reference: theirs });
        agreed[ours === 'refused' ? 'refused' : 'read']++;
      }),
      { numRuns: 2000 },
    );
    return agreed;
  }
});

describe('normalizeRegistry', () => {
  it.each<[string, string | undefined]>([
    ['Harbor.Example.com:5000', 'harbor.example.com:5000'],
    ['index.docker.io', 'docker.io'],
    ['localhost', 'localhost'],
    ['harbor:443', 'harbor:443'],
    ['[::1]:5000', '[::1]:5000'],
    ['harbor', undefined],
    ['HARBOR', undefined],
    ['', undefined],
    ['a.b/c', undefined],
    ['https://a.b', undefined],
    ['a_b.c', undefined],
  ])('%s → %s', (text, expected) => {
    expect(normalizeRegistry(text)).toBe(expected);
  });

  it('refuses a megabyte', () => {
    expect(normalizeRegistry(`${'a'.repeat(1_000_000)}.b`)).toBeUndefined();
  });
});

describe('the parts of a reference', () => {
  it.each<[string, boolean, boolean, boolean]>([
    ['latest', true, true, false],
    ['A', true, false, false],
    ['a/b', false, true, false],
    ['a'.repeat(255), false, true, false],
    ['a'.repeat(256), false, false, false],
    [sha256, false, false, true],
    [`${sha256}0`, false, false, false],
    ['', false, false, false],
  ])('%s: tag %s, repository %s, digest %s', (text, tag, repository, digest) => {
    expect([isTag(text), isRepository(text), isDigest(text)]).toEqual([tag, repository, digest]);
  });
});

function parsed(text: string): Reference | 'refused' {
  try {
    return parseReference(text);
  } catch (error) {
    if (error instanceof InvalidReferenceError) return 'refused';
    throw error;
  }
}

function thrown(text: string): InvalidReferenceError {
  try {
    parseReference(text);
  } catch (error) {
    if (error instanceof InvalidReferenceError) return error;
  }
  throw new Error(`${JSON.stringify(text.slice(0, 50))} was not refused`);
}

/** The result of the independent parser, with the default tag added. */
function independent(text: string): Reference | 'refused' {
  try {
    const { domain, repository, tag, digest } = parseAll(text);
    if (repository === undefined) return 'refused';
    return {
      registry: domain ?? '',
      repository,
      ...(tag !== undefined ? { tag } : digest === undefined ? { tag: 'latest' } : {}),
      ...(digest !== undefined && { digest }),
    };
  } catch {
    return 'refused';
  }
}

/** Known differences of the independent parser from ours, and in most cases also from distribution. */
function knownDifference(text: string, ours: Reference | 'refused', theirs: Reference | 'refused'): boolean {
  return (
    // The independent parser does not support IPv6 hosts.
    text.includes('[') ||
    // Our parser converts hosts to lowercase; distribution and the independent parser do not.
    /^[^/]*[A-Z][^/]*\//.test(text) ||
    // The independent parser includes the host in the limit of 255 characters, as distribution did before 0.5.
    (ours !== 'refused' && ours.registry.length + 1 + ours.repository.length > 255) ||
    // distribution and the independent parser accept my_registry.local/x, but as a reference without a host.
    (theirs !== 'refused' && theirs.registry === '')
  );
}
