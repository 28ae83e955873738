import * as z from 'zod';
import { longestDuration } from '../../core/config/duration.js';
import type { GateConfig, GateVerifyConfig, GateWebhookConfig, SignerIdentity } from '../../core/config/model.js';
import { described } from '../../schema/field.js';
import { choice, duration, text } from '../../schema/leaves.js';
import { ESCAPE_ADVICE, isDecodable, parseUrl } from '../../util/parse-url.js';

const urlAllowed = 'expected a URL that begins with https:// or http://';

const webhook = z.strictObject({
  // The URL may contain a password, so no message quotes it.
  url: text(
    {
      about: 'Gets a POST for each digest; a login in it is sent as a header.',
      allowed: urlAllowed,
      secret: 'password',
    },
    (value) => {
      const url = /^https?:\/\/[^\s/]/.test(value) ? parseUrl(value) : undefined;
      if (url === undefined) return { message: 'this is not a URL of a webhook', allowed: urlAllowed };
      if (isDecodable(url.username, url.password)) return undefined;
      return { message: 'has a % that does not begin an escape', allowed: ESCAPE_ADVICE };
    },
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

const file = (about: string) => text({ about, allowed: 'expected a path' });

const identity = z.strictObject({
  issuer: text({
    about: 'The OIDC issuer in the certificate, such as https://token.actions.githubusercontent.com.',
    allowed: 'expected a URL',
  }),
  subject: text({
    about: 'The whole subject in the certificate: an e-mail address, or the URL of a workflow.',
    allowed: 'expected a text',
  }).exactOptional(),
  subjectPattern: text(
    {
      about: 'Instead of `subject`, a regular expression for the whole subject.',
      allowed: 'expected a regular expression',
    },
    (value) => (isPattern(value) ? undefined : { message: 'this is not a regular expression' }),
  ).exactOptional(),
}) satisfies z.ZodType<SignerIdentity>;

function isPattern(value: string): boolean {
  try {
    new RegExp(`^(?:${value})$`);
    return true;
  } catch {
    return false;
  }
}

const verify = z.strictObject({
  keys: described(
    z.array(file('A PEM file with a public key, such as `cosign.pub`.')).readonly(),
    'Keys that may sign.',
  ).default([]),
  identities: described(
    z.array(identity).readonly(),
    'Signers without a key (keyless), by their certificates.',
  ).default([]),
  trustedRoot: file(
    'The JSON file with the trusted root of Sigstore or of your own instance; required with `identities`.',
  ).exactOptional(),
  attestations: described(
    z.array(text({ about: 'A predicate type.', allowed: 'expected a URI' })).readonly(),
    'Predicate types. The image needs a verified attestation of each, instead of a signature of its own.',
  ).default([]),
}) satisfies z.ZodType<GateVerifyConfig>;

/** The checks that an image must pass before it becomes visible in a target. */
export const gateSchema = z.strictObject({
  minimumAge: duration(
    1_000,
    longestDuration,
    "How long ago a registry must have shown the image's digest to the service for the first time.",
  ).exactOptional(),
  verify: described(verify, 'Signatures of cosign that the image must have at its source.').exactOptional(),
  webhook: described(webhook, 'A service of yours that allows or denies each digest.').exactOptional(),
}) satisfies z.ZodType<GateConfig>;
