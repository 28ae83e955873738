import { quoteInput } from '../core/image/quote.js';
import { RegistryError } from './errors.js';

/**
 * A path of the OCI distribution API below a repository: `/v2/<repository>/<rest…>`. Each segment is percent-encoded,
 * except the colon of a digest, which RFC 3986 allows in a path and registries expect unchanged. Dot segments and empty
 * segments would refer to another resource of the registry, with our credentials, and are rejected.
 *
 * @throws RegistryError of kind `invalid`
 */
export function repositoryPath(host: string, repository: string, ...rest: readonly string[]): string {
  return `/v2/${[...repository.split('/'), ...rest].map((segment) => pathSegment(host, segment)).join('/')}`;
}

function pathSegment(host: string, text: string): string {
  if (text === '.' || text === '..' || !/^[\x21-\x7e]+$/.test(text)) {
    throw new RegistryError(`${quoteInput(text)} cannot be part of a repository, tag or digest`, {
      kind: 'invalid',
      host,
    });
  }
  return encodeURIComponent(text).replaceAll('%3A', ':');
}
