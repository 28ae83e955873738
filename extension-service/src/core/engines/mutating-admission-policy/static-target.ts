import { parseReference } from '../../image/reference.js';
import { repositoryLengthLimit } from '../../image/reference.js';
import { checkTargets } from '../../policies/options.js';
import type { DecidedTarget } from '../engine.js';

/** Registries that only accept single separators, which changes some names: Amazon ECR. */
const SINGLE_SEPARATORS = /\.dkr[.-]ecr[.-]/;

/**
 * Targets for policies without a configuration: every image goes to the first one, and images in any of them stay.
 *
 * @param prefixes `registry.example.com/mirror/`
 * @throws InvalidPolicyOptionError
 */
export function staticTargets(prefixes: readonly string[]): readonly DecidedTarget[] {
  return checkTargets(prefixes).map((prefix, index) => {
    // Every repository below the prefix has the same host and path.
    const { registry: host, repository } = parseReference(`${prefix}x`);
    return {
      option: `targets[${index}]`,
      swapPolicy: index === 0 ? 'always' : 'exists',
      naming: {
        name: prefix,
        host,
        path: repository.split('/').slice(0, -1).join('/'),
        aliases: [],
        repositoryLimit: repositoryLengthLimit,
        separators: SINGLE_SEPARATORS.test(host) ? 'single' : 'any',
        wholeRegistry: false,
      },
    };
  });
}
