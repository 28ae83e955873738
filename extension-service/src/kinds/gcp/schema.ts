import * as z from 'zod';
import type { GcpConfig } from './config.js';
import { quoteInput } from '../../core/image/quote.js';
import { hostFault } from '../../core/naming/host-fault.js';
import { described } from '../../schema/field.js';
import { flag, matching, patternField, text } from '../../schema/leaves.js';
import type { Check } from '../../schema/leaves.js';
import { GCR_REPOSITORIES } from './naming.js';
import { cleanupPolicies, readers, repositorySettings } from './repository-schema.js';

const locationAllowed = 'expected a region such as us-central1 or one of us, europe, asia';
const projectAllowed = 'expected a project id such as my-project-123 or example.com:my-project';
const repositoryAllowed =
  'expected the name of an Artifact Registry repository: up to 63 lower-case letters, digits and -, a letter first';
const accountAllowed =
  'expected the email address of a service account such as mirror@my-project-123.iam.gserviceaccount.com';
const projectCheck = matching(
  /^(?:[a-z0-9-]+(?:\.[a-z0-9-]+)+[:/])?[a-z][a-z0-9-]{4,28}[a-z0-9]$/,
  'project id',
  projectAllowed,
);

const nameCheck = matching(/^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'repository name', repositoryAllowed);
const repositoryCheck: Check = (value) => (GCR_REPOSITORIES.has(value) ? undefined : nameCheck(value));

const place = {
  location: text({ about: 'Location of the repository.', allowed: locationAllowed }, (value) => {
    if (/^[a-z]+-[a-z]+[0-9]+-[a-z]$/.test(value)) {
      return {
        message: `${quoteInput(value)} is a zone, but Artifact Registry uses regions`,
        allowed: `its region is ${quoteInput(value.slice(0, -2))}`,
      };
    }
    return /^(?:us|europe|asia|[a-z]+-[a-z]+[0-9]{1,2})$/.test(value)
      ? undefined
      : { message: `${quoteInput(value)} is not a valid location`, allowed: locationAllowed };
  }),
  projectId: patternField(
    { about: 'The Google Cloud project.', allowed: projectAllowed },
    (value) =>
      /^[0-9]+$/.test(value)
        ? { message: `${quoteInput(value)} is a project number`, allowed: projectAllowed }
        : projectCheck(value),
    // The form of a domain's project in image names, which k8s-image-swapper's users also use.
    (value) => value.replace('/', ':'),
  ),
};

const login = {
  serviceAccount: text(
    { about: 'A service account to impersonate for all calls to this registry.', allowed: accountAllowed },
    matching(/^[a-z0-9][a-z0-9-]{0,62}@[a-z0-9.-]{1,200}\.gserviceaccount\.com$/, 'service account', accountAllowed),
  ).exactOptional(),
  credentialsFile: text({
    about: 'A JSON file with Google credentials of any type: a key, a federation, a user.',
    allowed: 'expected the path of a file',
    defaultText: 'Application Default Credentials',
  }).exactOptional(),
  endpoint: text(
    {
      about: 'Host of the Artifact Registry API, for example for Private Service Connect.',
      allowed: 'expected host or host:port',
      defaultText: '`artifactregistry.googleapis.com`',
    },
    hostFault,
  ).exactOptional(),
};

const pushes = {
  createRepository: flag('Create the repository if it does not exist when an image is pushed.').default(false),
  reconcilePolicies: flag('Reset the repository to the settings below when they differ.').default(true),
  repository: described(
    repositorySettings,
    'Settings of the repository; keys that are not set change nothing.',
  ).prefault({}),
  cleanupPolicies: described(
    cleanupPolicies,
    'Rules by which Artifact Registry deletes versions of images.',
  ).exactOptional(),
  cleanupDryRun: flag('Only log to the audit log what the rules would delete.').default(false),
  readers: described(readers, 'IAM members that may pull; other members are kept.').default([]),
};

/** A repository of Google Artifact Registry. */
export const gcpSchema = z.strictObject({
  ...place,
  repositoryId: text(
    {
      about: 'The repository in the project; all images go there. Only a target with `paths` can do without it.',
      allowed: repositoryAllowed,
      defaultText: 'required without `paths`',
    },
    repositoryCheck,
  ).default(''),
  ...login,
  ...pushes,
}) satisfies z.ZodType<GcpConfig>;

const noPushes = z.object(pushes).parse({});

/** The same as a source, which is only read. */
export const gcpSourceSchema = z
  .strictObject({
    ...place,
    repositoryId: text({ about: 'The repository in the project.', allowed: repositoryAllowed }, repositoryCheck),
    ...login,
  })
  .transform((gcp): GcpConfig => ({ ...gcp, ...noPushes })) satisfies z.ZodType<GcpConfig>;
