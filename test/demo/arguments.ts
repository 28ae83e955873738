import { parseArgs } from 'node:util';
import {
  InvalidReferenceError,
  formatReference,
  parseReference,
} from '../../extension-service/src/core/image/reference.js';
import { DemoError } from './error.js';

export interface DemoArguments {
  /** An image from the network, fully normalized. If absent, the demo uses its own image. */
  readonly image?: string;
  /** Port of the service; 0 selects a free port. */
  readonly port: number;
  /** Seconds to wait for the mirror. */
  readonly timeout: number;
}

export const USAGE = `usage: npm run demo [-- OPTIONS]
  --image REF      mirror this image from its registry (needs a network); default: a small image of the demo's own
  --port PORT      port of the extension service; default: a free one
  --timeout SEC    how long to wait for the mirror; default 60, with --image 600`;

/** @throws DemoError that says which arguments are valid */
export function parseArguments(args: readonly string[]): DemoArguments | 'help' {
  let values: { image?: string; port?: string; timeout?: string; help?: boolean };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        image: { type: 'string' },
        port: { type: 'string' },
        timeout: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    throw new DemoError(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
  }
  if (values.help === true) return 'help';
  const port = numberOf('--port', values.port ?? '0', 65_535);
  const timeout = numberOf('--timeout', values.timeout ?? (values.image === undefined ? '60' : '600'), 86_400);
  if (values.image === undefined) return { port, timeout };
  try {
    return { port, timeout, image: formatReference(parseReference(values.image)) };
  } catch (error) {
    if (!(error instanceof InvalidReferenceError)) throw error;
    throw new DemoError(
      `--image: ${error.message}\nGive it as HOST/PATH:TAG, for example docker.io/library/nginx:1.27`,
    );
  }
}

function numberOf(flag: string, text: string, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > max) throw new DemoError(`${flag} ${text}: give a whole number up to ${max}`);
  return value;
}
