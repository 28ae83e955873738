import { quoteInput } from './quote.js';

/**
 * An image reference, fully normalized: two texts that refer to the same image of the same registry are equal field by
 * field.
 */
export interface Reference {
  /** `host[:port]`, lower case; `docker.io` for Docker Hub. IPv6 addresses are in brackets. */
  readonly registry: string;
  /** Path below the registry, at most 255 characters: `library/nginx`. */
  readonly repository: string;
  /** `latest` if the text had neither a tag nor a digest. */
  readonly tag?: string;
  /** `sha256:…`, `sha384:…` or `sha512:…`, lower-case hex. */
  readonly digest?: string;
}

/**
 * The text is not an image reference. The message quotes it shortened and escaped, because it may come from anyone's
 * Pod.
 */
export class InvalidReferenceError extends Error {
  /** The beginning of the text, unescaped, at most 1,024 characters. */
  readonly input: string;
  /** The problem and the correct form, without the text. */
  readonly reason: string;

  constructor(input: string, reason: string) {
    super(`image ${quoteInput(input)}: ${reason}`);
    this.name = 'InvalidReferenceError';
    this.input = input.slice(0, textLimit);
    this.reason = reason;
  }
}

/** Maximum length of a text: host 253 and port, path 255, tag 128 and a sha512 digest fit. */
const textLimit = 1024;
/** Length of the path alone, as in github.com/distribution/reference since 0.5; before, the host was included. */
export const repositoryLengthLimit = 255;

const dockerHub = 'docker.io';
const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const label = '[a-z0-9]+(?:-+[a-z0-9]+)*';
// Each expression reads its text once: no two alternatives start with the same text.
const repositoryPattern = new RegExp(`^${component}(?:/${component})*$`);
const registryPattern = new RegExp(`^(?:${label}(?:\\.${label})*|\\[[a-f0-9:]+\\])(?::[0-9]+)?$`);
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const digestPattern = /^(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})$/;
const identifierPattern = /^[a-f0-9]{64}$/;
const printablePattern = /^[\x21-\x7e]*$/;
const upperCase = /[A-Z]/;

/**
 * Whether the text is a digest that an image reference may contain (github.com/opencontainers/go-digest's algorithms).
 */
export function isDigest(text: string): boolean {
  return digestPattern.test(text);
}

/** Whether the text is a valid tag (OCI distribution spec, "Pulling manifests"). */
export function isTag(text: string): boolean {
  return tagPattern.test(text);
}

/** The tag of a reference that names neither a tag nor a digest. */
const DEFAULT_TAG = 'latest';

/** Whether the text is a valid repository path of the OCI distribution spec, including its length. */
export function isRepository(text: string): boolean {
  return text.length <= repositoryLengthLimit && repositoryPattern.test(text);
}

/**
 * Parses an image reference with the grammar and defaults of github.com/distribution/reference (`ParseNormalizedNamed`
 * and `TagNameOnly`), which the kubelet and containerd use. The time is proportional to the text; texts longer than any
 * valid reference are rejected at once.
 *
 * Three differences are intended:
 * - The host is converted to lower case, because DNS ignores case. A host that only its capitals distinguish from a
 * path (`Foo/bar`) is still a host.
 * - `my_registry.local/x` is rejected: distribution parses it as a path without a host.
 * - Texts longer than 1,024 characters are rejected.
 *
 * @throws InvalidReferenceError
 */
export function parseReference(text: string): Reference {
  const fail = (reason: string) => new InvalidReferenceError(text, reason);
  if (text === '') throw fail('it is empty');
  if (text.length > textLimit) throw fail(`it is longer than ${textLimit} characters`);
  if (!printablePattern.test(text)) throw fail('it contains a space or a non-ASCII character');
  if (identifierPattern.test(text)) {
    throw fail('64 hexadecimal digits alone could be an image ID: add a tag, or write sha256: for a digest');
  }

  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest)) {
    throw fail(
      'the text after @ is not a digest: expected sha256: and 64 lower-case hexadecimal digits (sha384: 96, sha512: 128)',
    );
  }

  const { registry, rest } = splitRegistry(at < 0 ? text : text.slice(0, at));
  if (!registryPattern.test(registry)) throw fail(`the text before the first / is not a host: ${hostRule(registry)}`);

  const colon = rest.indexOf(':');
  const path = colon < 0 ? rest : rest.slice(0, colon);
  const tag = colon < 0 ? undefined : rest.slice(colon + 1);
  const repository = registry === dockerHub && !path.includes('/') ? `library/${path}` : path;
  if (!repositoryPattern.test(repository)) throw fail(pathRule(path));
  if (repository.length > repositoryLengthLimit) {
    throw fail(`the repository is longer than ${repositoryLengthLimit} characters`);
  }
  if (tag !== undefined && !isTag(tag)) {
    throw fail('the tag must be 1 to 128 letters, digits, _, . or -, and begin with a letter, a digit or _');
  }

  if (digest === undefined) return { registry, repository, tag: tag ?? DEFAULT_TAG };
  return tag === undefined ? { registry, repository, digest } : { registry, repository, tag, digest };
}

/** The reference for requests to a registry: the digest, or the tag if there is none. */
export function referenceName({ tag, digest }: Pick<Reference, 'tag' | 'digest'>): string {
  return digest ?? tag ?? DEFAULT_TAG;
}

/**
 * The reference as text: `host/path[:tag][@digest]`. Parsing it returns the same reference. For this, a host without a
 * dot, port or `localhost`, which would be parsed as a path of Docker Hub, is written in capitals.
 */
export function formatReference(reference: Reference): string {
  const { registry, repository, tag, digest } = reference;
  const host = looksLikeRegistry(registry) ? registry : registry.toUpperCase();
  return `${host}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/**
 * A registry's `host[:port]` in the form of {@link Reference.registry}: lower case, Docker Hub's old name replaced.
 * `undefined` if the text is not a host, or would be parsed as a path in front of a repository (`harbor`; write
 * `harbor:443`).
 */
export function normalizeRegistry(text: string): string | undefined {
  if (text.length > textLimit || !printablePattern.test(text)) return undefined;
  const registry = canonicalRegistry(text);
  return registryPattern.test(registry) && looksLikeRegistry(registry) ? registry : undefined;
}

/**
 * The first part is a host if it contains a dot, a colon or capitals, or is `localhost`; otherwise the path is Docker
 * Hub's.
 */
function splitRegistry(name: string): { readonly registry: string; readonly rest: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  if (slash < 0 || !(looksLikeRegistry(first) || upperCase.test(first))) return { registry: dockerHub, rest: name };
  return { registry: canonicalRegistry(first), rest: name.slice(slash + 1) };
}

function looksLikeRegistry(text: string): boolean {
  return text === 'localhost' || text.includes('.') || text.includes(':');
}

function canonicalRegistry(text: string): string {
  const lower = text.toLowerCase();
  return lower === 'index.docker.io' ? dockerHub : lower;
}

function hostRule(registry: string): string {
  if (registry.includes('_')) return 'host names cannot contain underscores';
  return 'expected host, host:port or [IPv6 address]:port';
}

function pathRule(path: string): string {
  if (path === '') return 'the repository is missing';
  if (upperCase.test(path)) return `the repository must be in lower case: ${quoteInput(path.toLowerCase())}`;
  return (
    'each part of the repository must be lower-case letters and digits, ' +
    'with single . or _, a double __ or any number of - between them'
  );
}
