import * as z from 'zod';
import type { GcpCleanupPolicy, GcpRepositorySettings } from './config.js';
import { quoteInput } from '../../core/image/quote.js';
import { described } from '../../schema/field.js';
import type { Check } from '../../schema/leaves.js';
import { stringField, choice, duration, flag, matching, text, wholeNumber } from '../../schema/leaves.js';

/** Artifact Registry's quotas: policies per repository, labels per resource. One label is ours. */
export const gcpLimits = { cleanupPolicies: 10, labels: 63 } as const;

const labelKeyAllowed = 'expected up to 63 lower-case letters, digits, _ and -, a letter first';
const labelValueAllowed = 'expected up to 63 lower-case letters, digits, _ and -';
const labelKeyCheck: Check = (key) => {
  if (/^(?:goog|image-swapper)/.test(key)) {
    return { message: `${quoteInput(key)} begins with a word that is reserved by Google or image-swapper` };
  }
  return /^\p{Ll}[\p{Ll}\p{Lo}\p{N}_-]{0,62}$/u.test(key)
    ? undefined
    : { message: `${quoteInput(key)} is not a valid label`, allowed: labelKeyAllowed };
};

const label = z.strictObject({
  key: text({ about: 'Name of the label.', allowed: labelKeyAllowed }, labelKeyCheck),
  value: stringField(
    { about: 'Value of the label.', allowed: labelValueAllowed },
    matching(/^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$/u, 'value of a label', labelValueAllowed),
  ),
});

const keyAllowed = 'expected projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY';

export const repositorySettings = z.strictObject({
  description: text(
    { about: 'Description of the repository.', allowed: 'expected a string of up to 1024 characters' },
    (value) =>
      value.length > 1024 ? { message: `has ${value.length} characters`, allowed: 'the maximum is 1024' } : undefined,
  ).exactOptional(),
  labels: described(z.array(label).readonly(), 'Labels of the repository; other labels are kept.').default([]),
  kmsKey: text(
    { about: 'A key of Cloud KMS that encrypts a new repository.', allowed: keyAllowed },
    matching(/^projects\/[^/\s]+\/locations\/[^/\s]+\/keyRings\/[^/\s]+\/cryptoKeys\/[^/\s]+$/, 'key', keyAllowed),
  ).exactOptional(),
  immutableTags: flag('Whether tags are immutable.').exactOptional(),
  vulnerabilityScanning: choice(
    ['inherited', 'disabled'],
    "`inherited`: images are scanned if the project's Container Scanning API is on.",
  ).exactOptional(),
}) satisfies z.ZodType<GcpRepositorySettings>;

const prefixes = (about: string, entry: string) =>
  described(z.array(text({ about: entry, allowed: 'expected the beginning of a name' })).readonly(), about).default([]);

/** Ten years in milliseconds: the limit of timers does not apply, because nothing here waits for it. */
const longestAge = 87_600 * 3_600_000;

const nameAllowed = 'expected up to 63 lower-case letters, digits and -, a letter first';

const cleanupPolicy = z.strictObject({
  name: text(
    { about: 'Unique in the repository.', allowed: nameAllowed },
    matching(/^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'name of a policy', nameAllowed),
  ),
  action: choice(['delete', 'keep'], '`keep` takes precedence over `delete`.'),
  condition: described(
    z.strictObject({
      tagState: choice(['any', 'tagged', 'untagged'], 'Versions with or without tags.').default('any'),
      tagPrefixes: prefixes('Only versions with a tag that has one of these prefixes.', 'A prefix.'),
      packagePrefixes: prefixes('Only images whose path in the repository has one of these prefixes.', 'A prefix.'),
      versionPrefixes: prefixes('Only versions whose digest has one of these prefixes.', 'A prefix.'),
      olderThan: duration(1_000, longestAge, 'Only versions that are older than this.').exactOptional(),
      newerThan: duration(1_000, longestAge, 'Only versions that are newer than this.').exactOptional(),
    }),
    'Which versions the policy applies to; a version must meet every condition that is set.',
  ).exactOptional(),
  mostRecentVersions: described(
    z.strictObject({
      keepCount: wholeNumber(1, 1_000_000, 'How many versions of each image to keep.'),
      packagePrefixes: prefixes('Only images whose path in the repository has one of these prefixes.', 'A prefix.'),
    }),
    'The newest versions of each image; only with `keep`.',
  ).exactOptional(),
}) satisfies z.ZodType<GcpCleanupPolicy>;

export const cleanupPolicies = z.array(cleanupPolicy).readonly();

const readerAllowed =
  'expected user:, group:, serviceAccount: or domain: and its value, or a principal:// or principalSet:// identifier';

export const readers = z
  .array(
    text(
      { about: 'A member.', allowed: readerAllowed },
      matching(
        /^(?:(?:user|group|serviceAccount|domain):[^\s:]+(?::[^\s]*)?|(?:principal|principalSet):\/\/\S+|allUsers|allAuthenticatedUsers)$/,
        'IAM member',
        readerAllowed,
      ),
    ),
  )
  .readonly();
