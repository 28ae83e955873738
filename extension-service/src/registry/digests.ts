import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isDigest } from '../core/image/reference.js';
import { quoteInput } from '../core/image/quote.js';
import { header, invalid, type RequestInfo } from './transport/answers.js';

/**
 * The `Docker-Content-Digest` of an answer; undefined if the registry does not send one (OCI distribution-spec: it is
 * optional). A registry's text becomes part of paths and results, so anything but a digest is rejected here.
 *
 * @throws RegistryError of kind `invalid`
 */
export function statedDigest(response: IncomingMessage, asked: RequestInfo): string | undefined {
  const text = header(response, 'docker-content-digest');
  if (text === undefined || text === '') return undefined;
  const stated = storedDigest(response);
  if (stated !== undefined) return stated;
  throw invalid(asked, `the Docker-Content-Digest ${digestFault(text)}`);
}

/**
 * The digest in the answer to a write, whose content is known; undefined if the registry sends none, or something else, as
 * GitHub Packages did (okteto/okteto#851).
 */
export function storedDigest(response: IncomingMessage): string | undefined {
  // A proxy that adds an existing header creates a list of two equal values.
  const [stated = '', ...others] = new Set(header(response, 'docker-content-digest')?.split(', '));
  return others.length === 0 && isDigest(stated) ? stated : undefined;
}

/** Why a text is not a usable digest, as a continuation of the name of its container. */
export function digestFault(text: string): string {
  const [, algorithm] = /^([A-Za-z0-9_+.-]{1,32}):[A-Za-z0-9=_-]{1,256}$/.exec(text) ?? [];
  const known = algorithm !== undefined && /^sha(?:256|384|512)$/.test(algorithm);
  return algorithm !== undefined && !known
    ? `${quoteInput(text)} is not a digest that can be checked: algorithm ${algorithm} is not supported (expected sha256, sha384 or sha512)`
    : `${quoteInput(text)} is not a digest (sha256:, sha384: or sha512: and 64, 96 or 128 lower-case hexadecimal digits)`;
}

/**
 * Whether a digest that a registry reports can belong to content with a known digest. The same bytes have a digest for
 * each algorithm, and registries answer with their canonical one: only digests of the same algorithm can be compared.
 */
export function canBeDigest(stated: string, known: string): boolean {
  return stated === known || algorithmOf(stated) !== algorithmOf(known);
}

/** `sha256` of a digest. */
export function algorithmOf(digest: string): string {
  return digest.slice(0, digest.indexOf(':'));
}

export function digestOf(bytes: Uint8Array, algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}
