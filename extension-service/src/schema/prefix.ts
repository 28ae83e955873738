import type { z } from 'zod';
import { isRepository } from '../core/image/reference.js';
import { quoteInput } from '../core/image/quote.js';
import { spelled } from './leaves.js';

const allowed =
  'a path such as mirror or team/mirror is allowed: lower-case letters, digits, single . _ - between them';

/** A path under a registry's host; the slashes around it go. */
export function prefix(): z.ZodDefault<z.ZodPipe<z.ZodString, z.ZodTransform<string, string>>> {
  return spelled(
    { about: 'A path in front of every image, under the host.', allowed, defaultText: 'none' },
    (value) => {
      const path = withoutSlashes(value);
      return path === '' || isRepository(path)
        ? undefined
        : { message: `${quoteInput(value)} is not a valid path`, allowed };
    },
    withoutSlashes,
  ).default('');
}

function withoutSlashes(path: string): string {
  return path.replace(/^\/+/, '').replace(/(?<!\/)\/+$/, '');
}
