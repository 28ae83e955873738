import type { OciConfig } from './config.js';
import { readClientCertificate, readNamed } from './client-certificate.js';
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
    const { insecure, caFile, clientCertificate, tokenHosts, uploadChunk } = settings;
    const { host } = ociNaming.place(settings);
    return {
      insecure,
      ...(caFile !== undefined && { ca: readNamed('oci.caFile', host, caFile) }),
      ...(clientCertificate !== undefined && { clientCertificate: readClientCertificate(host, clientCertificate) }),
      ...(tokenHosts !== undefined && { tokenHosts }),
      ...(uploadChunk !== undefined && { uploadChunk }),
    };
  },
  keychain: (host, { credentials }, sources) => credentials && configKeychain(host, credentials, sources),
  files({ caFile, clientCertificate, credentials = {} }) {
    // Credentials are read again when they are used; a new password is a reason to retry failed copies.
    const rereads = [credentials.passwordFile, credentials.dockerConfigFile];
    return [
      ...(caFile === undefined ? [] : [caFile]),
      ...(clientCertificate === undefined ? [] : [clientCertificate.certFile, clientCertificate.keyFile]),
      ...rereads.flatMap((file) => (file === undefined ? [] : [{ optional: file }])),
    ];
  },
};
