import { readFileSync } from 'node:fs';
import type { OciConfig } from './config.js';
import { configKeychain } from '../../credentials/config-credentials.js';
import type { RegistryKind } from '../kind.js';
import { ociNaming } from './naming.js';
import { ociRules } from './rules.js';
import { ociSchema } from './schema.js';

/** Any registry that speaks the OCI distribution specification, with a password, a token or no login. */
export const oci: RegistryKind<OciConfig> = {
  type: 'oci',
  about: 'Any other registry.',
  schema: ociSchema,
  rules: ociRules,
  naming: ociNaming,
  transport(settings) {
    const { insecure, caFile, tokenHosts, uploadChunk } = settings;
    const plain = {
      insecure,
      ...(tokenHosts !== undefined && { tokenHosts }),
      ...(uploadChunk !== undefined && { uploadChunk }),
    };
    if (caFile === undefined) return plain;
    try {
      return { ...plain, ca: readFileSync(caFile, 'utf8') };
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code ?? String(error);
      throw new Error(`oci.caFile of ${ociNaming.place(settings).host}: ${caFile}: ${reason}`, { cause: error });
    }
  },
  keychain: (host, { credentials }, sources) => credentials && configKeychain(host, credentials, sources),
  files({ caFile, credentials = {} }) {
    // Credentials are read again when they are used; a new password is a reason to retry what the old one failed for.
    const rereads = [credentials.passwordFile, credentials.dockerConfigFile];
    return [
      ...(caFile === undefined ? [] : [caFile]),
      ...rereads.flatMap((file) => (file === undefined ? [] : [{ optional: file }])),
    ];
  },
};
