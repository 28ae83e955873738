import { z } from 'zod';
import { longestDuration } from '../../core/config/duration.js';
import type { GateConfig, GateWebhookConfig } from '../../core/config/model.js';
import { described } from '../../schema/field.js';
import { choice, duration, text } from '../../schema/leaves.js';
import { parseUrl } from '../../util/parse-url.js';

const urlAllowed = 'expected a URL that begins with https:// or http://';

const webhook = z.strictObject({
  // The URL may have a password in it, so no message quotes it.
  url: text(
    {
      about: 'Gets a POST for each digest; a login in it is sent as a header.',
      allowed: urlAllowed,
      secret: 'password',
    },
    (value) =>
      /^https?:\/\/[^\s/]/.test(value) && parseUrl(value) !== undefined
        ? undefined
        : { message: 'this is not a URL of a webhook', allowed: urlAllowed },
  ),
  caFile: text({
    about: "A PEM file with CA certificates to trust in addition to the system's.",
    allowed: 'expected a path',
  }).exactOptional(),
  timeout: duration(100, 300_000, 'For the whole answer.').default(10_000),
  onError: choice(
    ['hold', 'allow'],
    'What it means that the webhook gives no verdict: `hold` asks again later, `allow` lets the image through.',
  ).default('hold'),
}) satisfies z.ZodType<GateWebhookConfig>;

/** The checks that an image must pass before it becomes visible in a target. */
export const gateSchema = z.strictObject({
  minimumAge: duration(
    1_000,
    longestDuration,
    "How long ago a registry must have shown the image's digest to the service for the first time.",
  ).exactOptional(),
  webhook: described(webhook, 'A service of yours that allows or denies each digest.').exactOptional(),
}) satisfies z.ZodType<GateConfig>;
