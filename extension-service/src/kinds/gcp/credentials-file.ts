import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GcpConfig } from './config.js';
import { credentialsFileFault } from './credentials-document.js';
import { RegistryError } from '../../registry/errors.js';

export interface CredentialsDocument {
  /** For messages: the key or variable that names the file, and its path. */
  readonly origin: string;
  readonly json: object;
}

/**
 * The file that Google's libraries would read: the configured one, that of GOOGLE_APPLICATION_CREDENTIALS, or the one
 * that `gcloud auth application-default login` writes. It is read here because the libraries quote unparsable content.
 * Undefined if there is none; then the metadata server is used.
 *
 * @throws RegistryError with the file and its problem, never its content
 */
export async function readCredentialsFile(
  { credentialsFile }: GcpConfig,
  host: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<CredentialsDocument | undefined> {
  const variable = env['GOOGLE_APPLICATION_CREDENTIALS'] ?? '';
  if (credentialsFile !== undefined) return read(`gcp.credentialsFile ${credentialsFile}`, credentialsFile, host);
  if (variable !== '') return read(`GOOGLE_APPLICATION_CREDENTIALS ${variable}`, variable, host);
  const home = env['HOME'] ?? '';
  const folder = env['CLOUDSDK_CONFIG'] ?? (home === '' ? undefined : join(home, '.config', 'gcloud'));
  if (folder === undefined) return undefined;
  const path = join(folder, 'application_default_credentials.json');
  try {
    return await read(path, path, host);
  } catch (error) {
    if ((error as { cause?: NodeJS.ErrnoException }).cause?.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function read(origin: string, path: string, host: string): Promise<CredentialsDocument> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    // Secrets are mounted, and rotated, while the service runs.
    const details = { kind: 'unauthorized', host, retryable: true, cause: error } as const;
    throw new RegistryError(`${origin} cannot be read: ${code}`, details);
  }
  const result = credentialsFileFault(text);
  if ('fault' in result) {
    throw new RegistryError(`${origin} ${result.fault}`, { kind: 'unauthorized', host, retryable: true });
  }
  return { origin, json: result.json };
}
