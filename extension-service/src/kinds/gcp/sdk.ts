/** The parts of Google's clients that are used: loaded only if a gcp registry needs them, see programs/programs.ts. */
export { ArtifactRegistryClient } from '@google-cloud/artifact-registry';
export { AuthClient, GoogleAuth, Impersonated, OAuth2Client } from 'google-auth-library';
