import { z } from 'zod';
import type { GcpConfig } from '../../core/config/model.js';
import { quoteInput } from '../../core/image/quote.js';
import { matching, spelled, text } from '../leaves.js';

const locationAllowed = 'a region such as us-central1 or one of us, europe, asia is allowed';
const projectAllowed = 'a project id such as my-project-123 or example.com:my-project is allowed';
const repositoryAllowed =
  'the name of an Artifact Registry repository is allowed: up to 63 lower-case letters, digits and -, a letter first';
const projectCheck = matching(
  /^(?:[a-z0-9-]+(?:\.[a-z0-9-]+)+[:/])?[a-z][a-z0-9-]{4,28}[a-z0-9]$/,
  'project id',
  projectAllowed,
);

/** A repository of Google Artifact Registry. */
export const gcpSchema = z.strictObject({
  location: text({ about: 'Where the repository is.', allowed: locationAllowed }, (value) => {
    if (/^[a-z]+-[a-z]+[0-9]+-[a-z]$/.test(value)) {
      return {
        message: `${quoteInput(value)} is a zone, and Artifact Registry is in regions`,
        allowed: `${quoteInput(value.slice(0, -2))} is its region`,
      };
    }
    return /^(?:us|europe|asia|[a-z]+-[a-z]+[0-9]{1,2})$/.test(value)
      ? undefined
      : { message: `${quoteInput(value)} is no location`, allowed: locationAllowed };
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
}) satisfies z.ZodType<GcpConfig>;
