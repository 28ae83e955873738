import type * as z from 'zod';
import { isRepository } from '../core/image/reference.js';
import { quoteInput } from '../core/image/quote.js';
import { patternField } from './leaves.js';

const allowed = 'expected a path such as mirror or team/mirror: lower-case letters, digits, single . _ - between them';

/** A path below a registry's host; leading and trailing slashes are removed. */
export function prefix(): z.ZodDefault<z.ZodPipe<z.ZodString, z.ZodTransform<string, string>>> {
  return patternField(
    { about: 'Path prefix for every image in the registry.', allowed, defaultText: 'none' },
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
