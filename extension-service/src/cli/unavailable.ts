import type { Config } from '../core/config/model.js';
import { CliError, EXIT } from './exit.js';

/**
 * Rejects keys that are not implemented yet: it is better not to start than to ignore a queue that a user relies on.
 *
 * @throws CliError naming each key
 */
export function refuseUnavailable({ queue }: Config): void {
  const missing = [...(queue.type === 'memory' ? [] : [`queue.type: ${queue.type} is not available yet: use memory`])];
  if (missing.length > 0) throw new CliError(EXIT.usage, missing.join('\n'));
}
