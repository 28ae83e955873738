import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ClientCertificate } from '../../registry/types.js';
import type { ClientCertificateConfig } from './config.js';
import { unreadable } from '../../util/unreadable.js';

/**
 * The certificate and the key of `oci.clientCertificate`.
 *
 * @throws Error with the key, the host and the unusable file; never its content
 */
export function readClientCertificate(host: string, files: ClientCertificateConfig): ClientCertificate {
  const { certFile, keyFile } = files;
  const [certKey, keyKey] = ['oci.clientCertificate.certFile', 'oci.clientCertificate.keyFile'];
  const cert = readNamed(certKey, host, certFile);
  const key = readNamed(keyKey, host, keyFile);
  const certificate = parsed(() => new X509Certificate(cert));
  if (certificate === undefined) throw new Error(`${certKey} of ${host}: ${certFile} has no PEM certificate`);
  const privateKey = parsed(() => createPrivateKey(key));
  if (privateKey === undefined) {
    const reason = /ENCRYPTED/.test(key) ? 'is encrypted; a key without a passphrase is required' : 'has no PEM key';
    throw new Error(`${keyKey} of ${host}: ${keyFile} ${reason}`);
  }
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new Error(`${keyKey} of ${host}: ${keyFile} is not the key of the certificate in ${certFile}`);
  }
  return { cert, key };
}

/** @throws Error that names the key, the host and the file */
export function readNamed(key: string, host: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`${key} of ${host}: ${file}: ${unreadable(error)}`, { cause: error });
  }
}

/** The parser's own message may quote the file. */
function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}
