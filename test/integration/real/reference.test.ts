import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  formatPlatform,
  knownArchitectures,
  knownOperatingSystems,
  parsePlatform,
} from '../../../extension-service/src/core/image/platform.js';
import { InvalidReferenceError, parseReference } from '../../../extension-service/src/core/image/reference.js';
import { targetReference } from '../../../extension-service/src/core/naming/name.js';
import { hostileReferenceText, legalReferenceText } from '../../unit/image/arbitraries.js';
import { everyTarget } from '../../unit/naming/targets.js';

/** The result of test/tools/reference for one string. */
interface Answer {
  readonly domain?: string;
  readonly path?: string;
  readonly tag?: string;
  readonly digest?: string;
  readonly platform?: string;
  readonly error?: string;
}

const source = fileURLToPath(new URL('../../tools/reference', import.meta.url));
const binary = fileURLToPath(new URL('../../../.cache/tools/reference', import.meta.url));
const hasGo = isGoInstalled();
if (!hasGo && !process.env['CI']) {
  process.stderr.write('SKIPPED: the comparison with github.com/distribution/reference needs the go command\n');
}

/** In CI, the tests fail when Go is missing. Elsewhere, they are skipped. */
describe.skipIf(!hasGo && !process.env['CI'])('in comparison with the libraries of the kubelet and containerd', () => {
  beforeAll(async () => {
    mkdirSync(fileURLToPath(new URL('../../../.cache/tools', import.meta.url)), { recursive: true });
    await promisify(execFile)('go', ['build', '-trimpath', '-o', binary, '.'], { cwd: source });
  });

  it('parseReference accepts and rejects 100,000 generated texts as distribution does, except for the listed differences', async () => {
    const seed = Math.floor(Math.random() * 0x7fffffff);
    process.stderr.write(`real/reference: seed ${seed}\n`);
    const texts = fc.sample(fc.oneof(legalReferenceText, hostileReferenceText), { numRuns: 100_000, seed });
    const count = { read: 0, refused: 0, listed: 0 };
    for (const [index, answer] of (await ask(texts, [])).entries()) {
      const text = texts[index] ?? '';
      const theirs = answer.error === undefined ? withoutError(answer) : 'refused';
      const ours = parsed(text);
      if (isListedDifference(text, theirs)) {
        count.listed++;
        continue;
      }
      // We convert hosts to lower case, including Docker Hub's. This is the same as distribution's result for a host in
      // lower case.
      const expected = theirs === 'refused' ? theirs : { ...theirs, domain: (theirs.domain ?? '').toLowerCase() };
      if (JSON.stringify(ours) !== JSON.stringify(expected))
        expect({ text, ...asObject(ours) }).toEqual({ text, ...asObject(expected) });
      count[ours === 'refused' ? 'refused' : 'read']++;
    }
    process.stderr.write(`real/reference: ${JSON.stringify(count)}\n`);
    expect(count.read).toBeGreaterThan(40_000);
    expect(count.refused).toBeGreaterThan(10_000);
    expect(count.listed).toBeLessThan(5_000);
  });

  it.each([
    ['a host in capitals is the same host', 'EXAMPLE.com/x', 'EXAMPLE.com', 'example.com'],
    ['Docker Hub in capitals is Docker Hub', 'Docker.IO/x', 'Docker.IO', 'docker.io'],
    ['a path with an underscore where the host would be', 'my_registry.local/x', undefined, 'refused'],
  ])('differs from distribution on purpose: %s', async (_name, text, theirs, ours) => {
    const [answer] = await ask([text], []);
    expect(answer?.error).toBeUndefined();
    expect(answer?.domain).toBe(theirs);
    const result = parsed(text);
    expect(result === 'refused' ? result : result.domain).toBe(ours);
  });

  it('accepts every target reference', async () => {
    const texts = fc.sample(legalReferenceText, 20_000);
    const named = texts.flatMap((text) => everyTarget.map((target) => targetReference(target, parseReference(text))));
    const answers = await ask(
      named.map(({ text }) => text),
      [],
    );
    for (const [index, answer] of answers.entries()) {
      const { registry, repository, tag, digest } = named[index] ?? {};
      expect(answer).toEqual({ domain: registry, path: repository, ...(tag && { tag }), ...(digest && { digest }) });
    }
  });

  it('parsePlatform normalizes as containerd does', async () => {
    const variants = ['', '/v1', '/v5', '/5', '/6', '/7', '/8', '/v6', '/v7', '/v8', '/v9', '/V8'];
    const architectures = [...knownArchitectures, 'x86_64', 'x86-64', 'i386', 'aarch64', 'armhf', 'armel', 'ARM64'];
    const systems = [...knownOperatingSystems, 'macos', 'Linux'];
    const texts = systems.flatMap((os) =>
      architectures.flatMap((arch) => variants.map((variant) => `${os}/${arch}${variant}`)),
    );
    const answers = await ask(texts, ['-platforms']);
    for (const [index, answer] of answers.entries()) {
      expect({ text: texts[index], platform: formatPlatform(parsePlatform(texts[index] ?? '')) }).toEqual({
        text: texts[index],
        ...answer,
      });
    }
  });
});

function isGoInstalled(): boolean {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function ask(texts: readonly string[], flags: readonly string[]): Promise<Answer[]> {
  const child = spawn(binary, [...flags], { stdio: ['pipe', 'pipe', 'inherit'] });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const exit = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  child.stdin.end(texts.map((text) => `${JSON.stringify(text)}\n`).join(''));
  expect(await exit).toBe(0);
  const lines = Buffer.concat(chunks).toString('utf8').trimEnd().split('\n');
  expect(lines).toHaveLength(texts.length);
  return lines.map((line) => JSON.parse(line) as Answer);
}

function parsed(text: string): Answer | 'refused' {
  try {
    const { registry, repository, tag, digest } = parseReference(text);
    return { domain: registry, path: repository, ...(tag && { tag }), ...(digest && { digest }) };
  } catch (error) {
    if (error instanceof InvalidReferenceError) return 'refused';
    throw error;
  }
}

/** Returns the fields in our order, so that equal results have equal JSON. */
function withoutError({ domain, path, tag, digest }: Answer): Answer {
  return {
    ...(domain !== undefined && { domain }),
    ...(path !== undefined && { path }),
    ...(tag !== undefined && { tag }),
    ...(digest !== undefined && { digest }),
  };
}

function asObject(result: Answer | 'refused'): object {
  return result === 'refused' ? { refused: true } : result;
}

function isListedDifference(text: string, theirs: Answer | 'refused'): boolean {
  return (
    // The name does not have a host.
    (theirs !== 'refused' && theirs.domain === undefined) ||
    // For distribution, Docker Hub in upper case is a different registry.
    (/^(?:index\.)?docker\.io\//i.test(text) && !/^(?:index\.)?docker\.io\//.test(text)) ||
    text.length > 1024
  );
}
