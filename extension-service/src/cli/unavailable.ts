import type { Config } from '../core/config/model.js';
import { CliError, EXIT } from './exit.js';

/**
 * Keys that nothing stands behind yet: it is better not to start than to ignore a queue that somebody counts on.
 *
 * @throws CliError naming each
 */
export function refuseUnavailable({ queue }: Config): void {
  const missing = [...(queue.type === 'memory' ? [] : [`queue.type: ${queue.type} is not available yet: use memory`])];
  if (missing.length > 0) throw new CliError(EXIT.usage, missing.join('\n'));
}
