import { z } from 'zod';
import type { Config, MirrorConfig, QueueConfig } from '../../core/config/model.js';
import { quoteInput } from '../../core/image/quote.js';
import { longestDuration } from '../duration.js';
import { choice, duration, flag, matching, platforms, text, wholeNumber } from '../leaves.js';

/** How images are copied. */
export const mirrorSchema = z.strictObject({
  concurrency: wholeNumber(1, 256, 'Copies at once.').default(4),
  platforms: platforms('What to copy of images for several platforms.').default('all'),
  referrers: flag('Copy signatures, attestations and SBOMs with the image.').default(true),
  refresh: z
    .strictObject({
      interval: duration(1_000, longestDuration, 'How often moving tags are looked at.').default(3_600_000),
    })
    .prefault({}),
}) satisfies z.ZodType<MirrorConfig>;

const queueUrl = /^(?:rediss?|postgres(?:ql)?):\/\/[^\s/]+/;
const urlAllowed = 'a URL that begins with redis://, rediss://, postgres:// or postgresql:// is allowed';

/** Where copies wait. */
export const queueSchema = z.strictObject({
  type: choice(['memory', 'redis', 'postgres'], 'Where copies wait for their turn.').default('memory'),
  // The URL may have a password in it, so no message quotes it.
  url: text({ about: 'The server, for `redis` and `postgres`.', allowed: urlAllowed, secret: 'password' }, (value) =>
    queueUrl.test(value) && URL.canParse(value)
      ? undefined
      : { message: 'this is no URL of a queue server', allowed: urlAllowed },
  ).exactOptional(),
  secretName: text(
    { about: 'A Secret with the key `url`, instead of `url`.', allowed: 'the name of a Secret is allowed' },
    matching(
      /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/,
      'name of a Secret',
      'lower-case letters, digits, - and . are allowed',
    ),
  ).exactOptional(),
}) satisfies z.ZodType<QueueConfig>;

/** Whether the URL is of the queue's type; the message tells. */
export function queueUrlFault(type: string, url: string): string | undefined {
  const schemes: Readonly<Record<string, RegExp>> = { redis: /^rediss?:/, postgres: /^postgres(?:ql)?:/ };
  return schemes[type]?.test(url) === false ? `this is no ${type} URL, and type is ${quoteInput(type)}` : undefined;
}

/** How what is missing in targets is found. */
export const reconcileSchema = z.strictObject({
  enabled: flag("Compare the cluster's images with the targets.").default(true),
  interval: duration(1_000, longestDuration, 'How often.').default(600_000),
}) satisfies z.ZodType<Config['reconcile']>;

/** Whether the service itself writes policies into the cluster. */
export const enginePoliciesSchema = z.strictObject({
  manage: flag('The leader creates and updates the policies in the cluster.').default(false),
  engine: choice(
    ['kyverno', 'kyverno-clusterpolicy', 'gatekeeper', 'webhook', 'none'],
    'Which policies; `kyverno` are MutatingPolicies.',
  ).default('kyverno'),
}) satisfies z.ZodType<Config['policies']>;
