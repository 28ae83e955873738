import type { ClusterAccess } from '../api.js';
import type { LiveConfig } from '../live-config.js';
import type { CertificateEnvironment } from './advance.js';
import { CertificateSecret } from './certificate-secret.js';
import { selfSigningIssuer } from './issuer.js';
import { ServingCertificate } from './serving-certificate.js';
import type { ServingCertificateOptions } from './serving-certificate.js';

export interface OpenedCertificate {
  readonly environment: CertificateEnvironment;
  readonly serving: ServingCertificate;
}

/** The serving certificate that replicas share in a Secret of the cluster. */
export function openServingCertificate({
  cluster,
  ...options
}: Omit<ServingCertificateOptions, 'world'> & {
  readonly cluster: ClusterAccess;
  readonly config: LiveConfig;
}): OpenedCertificate {
  const world: CertificateEnvironment = {
    secret: new CertificateSecret(cluster, () => options.config.current().tls.secretName),
    issuer: selfSigningIssuer,
    now: Date.now,
  };
  return { environment: world, serving: new ServingCertificate({ ...options, world }) };
}
