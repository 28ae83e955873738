import { z } from 'zod';
import type { GcpCleanupPolicy, GcpRepositorySettings } from './config.js';
import { quoteInput } from '../../core/image/quote.js';
import { described } from '../../schema/field.js';
import type { Check } from '../../schema/leaves.js';
import { anyText, choice, duration, flag, matching, text, wholeNumber } from '../../schema/leaves.js';

/** Artifact Registry's quotas: policies of a repository, labels of a resource. One label is ours. */
export const gcpLimits = { cleanupPolicies: 10, labels: 63 } as const;

const labelKeyAllowed = 'up to 63 lower-case letters, digits, _ and - are allowed, a letter first';
const labelValueAllowed = 'up to 63 lower-case letters, digits, _ and - are allowed';
const labelKeyCheck: Check = (key) => {
  if (/^(?:goog|image-swapper)/.test(key)) {
    return { message: `${quoteInput(key)} begins with a word that Google or image-swapper keep for themselves` };
  }
  return /^\p{Ll}[\p{Ll}\p{Lo}\p{N}_-]{0,62}$/u.test(key)
    ? undefined
    : { message: `${quoteInput(key)} is not a valid label`, allowed: labelKeyAllowed };
};

const label = z.strictObject({
  key: text({ about: 'Name of the label.', allowed: labelKeyAllowed }, labelKeyCheck),
  value: anyText(
    { about: 'Value of the label.', allowed: labelValueAllowed },
    matching(/^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$/u, 'value of a label', labelValueAllowed),
  ),
});

const keyAllowed = 'projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY is allowed';

export const repositorySettings = z.strictObject({
  description: text({ about: 'For people.', allowed: 'a text of up to 1024 characters is allowed' }, (value) =>
    value.length > 1024
      ? { message: `has ${value.length} characters`, allowed: 'at most 1024 are allowed' }
      : undefined,
  ).exactOptional(),
  labels: described(z.array(label).readonly(), 'Labels; others are left alone.').default([]),
  kmsKey: text(
    { about: 'A key of Cloud KMS that encrypts a new repository.', allowed: keyAllowed },
    matching(/^projects\/[^/\s]+\/locations\/[^/\s]+\/keyRings\/[^/\s]+\/cryptoKeys\/[^/\s]+$/, 'key', keyAllowed),
  ).exactOptional(),
  immutableTags: flag('Whether a tag stays with its image forever.').exactOptional(),
  vulnerabilityScanning: choice(
    ['inherited', 'disabled'],
    "`inherited`: images are scanned if the project's Container Scanning API is on.",
  ).exactOptional(),
}) satisfies z.ZodType<GcpRepositorySettings>;

const prefixes = (about: string, entry: string) =>
  described(z.array(text({ about: entry, allowed: 'the beginning of a name is allowed' })).readonly(), about).default(
    [],
  );

/** Ten years in milliseconds: nothing waits for it here, so timers set no limit. */
const longestAge = 87_600 * 3_600_000;

const nameAllowed = 'up to 63 lower-case letters, digits and - are allowed, a letter first';

const cleanupPolicy = z.strictObject({
  name: text(
    { about: 'Unique in the repository.', allowed: nameAllowed },
    matching(/^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'name of a policy', nameAllowed),
  ),
  action: choice(['delete', 'keep'], '`keep` wins where both apply.'),
  condition: described(
    z.strictObject({
      tagState: choice(['any', 'tagged', 'untagged'], 'Versions with or without tags.').default('any'),
      tagPrefixes: prefixes('Only versions that have a tag that begins so.', 'A prefix.'),
      packagePrefixes: prefixes('Only images whose path in the repository begins so.', 'A prefix.'),
      versionPrefixes: prefixes('Only versions whose digest begins so.', 'A prefix.'),
      olderThan: duration(1_000, longestAge, 'Only versions that were uploaded longer ago.').exactOptional(),
      newerThan: duration(1_000, longestAge, 'Only versions that were uploaded since.').exactOptional(),
    }),
    'Which versions it is about; all that is given must be true.',
  ).exactOptional(),
  mostRecentVersions: described(
    z.strictObject({
      keepCount: wholeNumber(1, 1_000_000, 'How many versions of each image.'),
      packagePrefixes: prefixes('Only images whose path in the repository begins so.', 'A prefix.'),
    }),
    'The newest versions of each image, with `keep` only.',
  ).exactOptional(),
}) satisfies z.ZodType<GcpCleanupPolicy>;

export const cleanupPolicies = z.array(cleanupPolicy).readonly();

const readerAllowed =
  'user:, group:, serviceAccount:, domain:, principal:// or principalSet:// with what belongs to it is allowed';

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
