import { z } from 'zod';
import type { GcpConfig } from './config.js';
import { quoteInput } from '../../core/image/quote.js';
import { hostFault } from '../../core/naming/host-fault.js';
import { described } from '../../schema/field.js';
import { flag, matching, spelled, text } from '../../schema/leaves.js';
import { cleanupPolicies, readers, repositorySettings } from './repository-schema.js';

const locationAllowed = 'a region such as us-central1 or one of us, europe, asia is allowed';
const projectAllowed = 'a project id such as my-project-123 or example.com:my-project is allowed';
const repositoryAllowed =
  'the name of an Artifact Registry repository is allowed: up to 63 lower-case letters, digits and -, a letter first';
const accountAllowed =
  'the e-mail of a service account such as mirror@my-project-123.iam.gserviceaccount.com is allowed';
const projectCheck = matching(
  /^(?:[a-z0-9-]+(?:\.[a-z0-9-]+)+[:/])?[a-z][a-z0-9-]{4,28}[a-z0-9]$/,
  'project id',
  projectAllowed,
);

const registry = {
  location: text({ about: 'Where the repository is.', allowed: locationAllowed }, (value) => {
    if (/^[a-z]+-[a-z]+[0-9]+-[a-z]$/.test(value)) {
      return {
        message: `${quoteInput(value)} is a zone, and Artifact Registry is in regions`,
        allowed: `${quoteInput(value.slice(0, -2))} is its region`,
      };
    }
    return /^(?:us|europe|asia|[a-z]+-[a-z]+[0-9]{1,2})$/.test(value)
      ? undefined
      : { message: `${quoteInput(value)} is not a valid location`, allowed: locationAllowed };
  }),
  projectId: spelled(
    { about: 'The Google Cloud project.', allowed: projectAllowed },
    (value) =>
      /^[0-9]+$/.test(value)
        ? { message: `${quoteInput(value)} is a project number`, allowed: projectAllowed }
        : projectCheck(value),
    // As image names, and so k8s-image-swapper's users, write the project of a domain.
    (value) => value.replace('/', ':'),
  ),
  repositoryId: text(
    { about: 'The repository in the project; all images go there.', allowed: repositoryAllowed },
    matching(/^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'repository name', repositoryAllowed),
  ),
  serviceAccount: text(
    { about: 'A service account to impersonate for everything at this registry.', allowed: accountAllowed },
    matching(/^[a-z0-9][a-z0-9-]{0,62}@[a-z0-9.-]{1,200}\.gserviceaccount\.com$/, 'service account', accountAllowed),
  ).exactOptional(),
  credentialsFile: text({
    about: 'A JSON file with Google credentials of any type: a key, a federation, a user.',
    allowed: 'the path of a file is allowed',
    defaultText: 'Application Default Credentials',
  }).exactOptional(),
  endpoint: text(
    {
      about: "Host of Artifact Registry's API, for Private Service Connect for example.",
      allowed: 'host or host:port is allowed',
      defaultText: '`artifactregistry.googleapis.com`',
    },
    hostFault,
  ).exactOptional(),
};

const pushes = {
  createRepository: flag('Create the repository when a push finds it missing.').default(false),
  reconcilePolicies: flag('Give the repository the settings below again when it has others.').default(true),
  repository: described(
    repositorySettings,
    'Settings of the repository; keys that are not given change nothing.',
  ).prefault({}),
  cleanupPolicies: described(
    cleanupPolicies,
    'Rules by which Artifact Registry deletes versions of images.',
  ).exactOptional(),
  cleanupDryRun: flag('The rules delete nothing and write into the audit log what they would delete.').default(false),
  readers: described(readers, 'IAM members that get the right to pull; others are left alone.').default([]),
};

/** A repository of Google Artifact Registry. */
export const gcpSchema = z.strictObject({ ...registry, ...pushes }) satisfies z.ZodType<GcpConfig>;

const noPushes = z.object(pushes).parse({});

/** The same as a source: it is only read. */
export const gcpSourceSchema = z
  .strictObject(registry)
  .transform((gcp): GcpConfig => ({ ...gcp, ...noPushes })) satisfies z.ZodType<GcpConfig>;
