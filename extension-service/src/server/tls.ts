import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { unreadable } from '../util/unreadable.js';
import type { TlsPair } from './listen.js';
import { messageOf } from '../util/message-of.js';

export class TlsFileError extends Error {
  override readonly name = 'TlsFileError';
}

/** @throws TlsFileError with the file and its problem */
export async function readTlsPair(certFile: string, keyFile: string): Promise<TlsPair> {
  const [cert, key] = await Promise.all([read(certFile, '--tls-cert-file'), read(keyFile, '--tls-key-file')]);
  checkTlsPair({ cert, key }, certFile, keyFile);
  return { cert, key };
}

/** A mismatched pair would only show at the first handshake, as an error of the caller. */
export function checkTlsPair({ cert, key }: TlsPair, certFile: string, keyFile: string): void {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch {
    throw new TlsFileError(`${certFile}: not a PEM certificate`);
  }
  let matches: boolean;
  try {
    matches = certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    throw new TlsFileError(`${keyFile}: not an unencrypted PEM private key`);
  }
  if (!matches) throw new TlsFileError(`${keyFile}: is not the key of the certificate in ${certFile}`);
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw new TlsFileError(`${certFile}: ${messageOf(error)}`);
  }
}

async function read(file: string, flag: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new TlsFileError(`${flag} ${file}: ${unreadable(error)}`);
  }
}
