import * as z from 'zod';
import { InvalidPlatformError, formatPlatform, parsePlatform } from '../core/image/platform.js';
import { quoteInput } from '../core/image/quote.js';
import { formatDuration, parseDuration } from '../core/config/duration.js';
import { leaf } from './field.js';
import type { FieldMeta } from './field.js';

/** A problem with a value; `offset` is the position of the affected character. */
export interface Fault {
  readonly message: string;
  readonly allowed?: string;
  readonly offset?: number;
}

/** A check of a text; undefined if it is valid. */
export type Check = (text: string) => Fault | undefined;

type FieldDescription = Omit<FieldMeta, 'type'>;

export function addFault(context: z.core.$RefinementCtx, fault: Fault): void {
  const { message, ...params } = fault;
  context.addIssue({ code: 'custom', message, params });
}

/** A non-empty text. */
export function text(about: FieldDescription, check?: Check): z.ZodString {
  return leaf(checked(about, check), { ...about, type: 'text' });
}

/** A text that may be empty. */
export function stringField(about: FieldDescription, check: Check): z.ZodString {
  return leaf(refined(check), { ...about, type: 'text' });
}

/** Digits in their original form. */
export function digits(about: FieldDescription, check: Check): z.ZodString {
  return leaf(checked(about, check), { ...about, type: 'digits' });
}

/** A text for which the configuration uses another spelling: `read` is called for texts that `check` accepts. */
export function patternField(
  about: FieldDescription,
  check: Check,
  read: (text: string) => string,
): z.ZodPipe<z.ZodString, z.ZodTransform<string, string>> {
  return leaf(checked(about, check).transform(read), { ...about, type: 'text' });
}

function checked(about: FieldDescription, check: Check | undefined): z.ZodString {
  return refined((value) => (value.trim() === '' ? { message: 'is empty', allowed: about.allowed } : check?.(value)));
}

function refined(check: Check): z.ZodString {
  return z.string().superRefine((value, context) => {
    const fault = check(value);
    if (fault !== undefined) addFault(context, fault);
  });
}

/** A check by pattern; the message says `"x" is no <what>`. */
export function matching(pattern: RegExp, what: string, allowed: string): Check {
  return (value) =>
    pattern.test(value) ? undefined : { message: `${quoteInput(value)} is not a valid ${what}`, allowed };
}

export function choice<const T extends readonly [string, ...string[]]>(
  values: T,
  about: string,
): z.ZodEnum<{ [K in T[number]]: K }> {
  return leaf(z.enum(values), { type: 'choice', about, allowed: `expected one of ${values.join(', ')}` });
}

export function flag(about: string): z.ZodBoolean {
  return leaf(z.boolean(), { type: 'boolean', about, allowed: 'expected true or false' });
}

/** `auto`, or a boolean that replaces what is found out. */
export function autoFlag(about: string): z.ZodType<'auto' | boolean, unknown> {
  const allowed = 'expected auto, true or false';
  return leaf(z.union([z.literal('auto'), z.boolean()]), { type: 'auto', about, allowed });
}

export function wholeNumber(min: number, max: number, about: string, defaultText?: string): z.ZodNumber {
  const allowed = `expected a whole number from ${min} to ${max}`;
  const schema = z.number().superRefine((value, context) => {
    if (!Number.isInteger(value) || value < min || value > max) {
      addFault(context, { message: `${value} is not valid`, allowed });
    }
  });
  return leaf(schema, { type: 'number', about, allowed, ...(defaultText !== undefined && { defaultText }) });
}

/** A duration in Go's form; the output is milliseconds. */
export function duration(
  least: number,
  most: number,
  about: string,
): z.ZodPipe<z.ZodString, z.ZodTransform<number, string>> {
  const range = `from ${formatDuration(least)} to ${formatDuration(most)}`;
  const allowed = `expected a duration such as 200ms, 8s, 1m30s or 1h, ${range}`;
  const schema = z.string().transform((value, context) => {
    const milliseconds = parseDuration(value);
    if (milliseconds === undefined) {
      addFault(context, { message: `${quoteInput(value)} is not a valid duration`, allowed });
      return z.NEVER;
    }
    if (milliseconds < least || milliseconds > most) {
      addFault(context, { message: `${value} is too ${milliseconds < least ? 'short' : 'long'}`, allowed });
    }
    return milliseconds;
  });
  return leaf(schema, { type: 'duration', about, allowed });
}

/** `all` or platforms, in containerd's spelling. */
export function platforms(about: string): z.ZodType<'all' | readonly string[], unknown> {
  const allowed = 'expected all, or a list such as [linux/amd64, linux/arm64]';
  const schema = z
    .union([z.literal('all'), z.array(z.string())])
    .transform((value, context): 'all' | readonly string[] => {
      if (value === 'all') return value;
      if (value.length === 0) addFault(context, { message: 'the list is empty', allowed });
      return value.map((name, index) => {
        try {
          return formatPlatform(parsePlatform(name));
        } catch (error) {
          if (!(error instanceof InvalidPlatformError)) throw error;
          context.addIssue({ code: 'custom', message: error.message, path: [index], params: {} });
          return name;
        }
      });
    });
  return leaf(schema, { type: 'platforms', about, allowed });
}
