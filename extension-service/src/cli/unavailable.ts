import type { Config } from '../core/config/model.js';
import { CliError, EXIT } from './exit.js';

/**
 * Keys of the design that nothing stands behind yet: to ignore a guard or a queue that somebody counts on is worse than not
 * to start.
 *
 * @throws CliError naming each
 */
export function refuseUnavailable({ source, queue }: Config): void {
  const missing = [
    ...(source.accessCheck === 'none'
      ? []
      : [`source.accessCheck: ${source.accessCheck} is not available yet: use none`]),
    ...(queue.type === 'memory' ? [] : [`queue.type: ${queue.type} is not available yet: use memory`]),
  ];
  if (missing.length > 0) throw new CliError(EXIT.usage, missing.join('\n'));
}
