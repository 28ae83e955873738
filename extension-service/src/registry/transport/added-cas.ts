import { readdirSync, readFileSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { rootCertificates } from 'node:tls';

/** CA certificates that the environment adds to Node's own; each is PEM. */
export interface AddedCas {
  /** From NODE_EXTRA_CA_CERTS: Node trusts them by itself, unless a connection has its own list. */
  readonly byNode: readonly string[];
  /** From SSL_CERT_FILE and SSL_CERT_DIR, which Node does not read. */
  readonly added: readonly string[];
}

export const NO_ADDED_CAS: AddedCas = { byNode: [], added: [] };

/**
 * The CA certificates for a connection with `ca` (PEM) in addition; undefined for Node's own list. A list replaces Node's,
 * which contains the certificates of NODE_EXTRA_CA_CERTS.
 */
export function trustedCas({ byNode, added }: AddedCas, ca: string | undefined): string[] | undefined {
  if (ca === undefined && added.length === 0) return undefined;
  return [...rootCertificates, ...byNode, ...added, ...(ca === undefined ? [] : [ca])];
}

const MAX_FILE_BYTES = 4 * 1024 * 1024;
const MAX_FILES = 1_000;
const CERTIFICATE = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]+-----END (?:TRUSTED )?CERTIFICATE-----/g;

/**
 * Reads NODE_EXTRA_CA_CERTS, SSL_CERT_FILE (a file) and SSL_CERT_DIR (folders, as in PATH), which other programs in the
 * same image use. They are added to Node's list and replace nothing. Unreadable files are reported, with the variable's
 * name, and skipped: images set these variables for files that they do not have.
 */
export function addedCas(
  env: Readonly<Record<string, string | undefined>>,
  report: (problem: string) => void,
): AddedCas {
  // Created only if a variable is set, because it takes some milliseconds of each start.
  let known: Set<string> | undefined;
  const isNew = (pem: string): boolean => {
    known ??= new Set(rootCertificates.map(normalized));
    const text = normalized(pem);
    if (known.has(text)) return false;
    known.add(text);
    return true;
  };
  const read = (variable: string, files: readonly string[]): string[] =>
    files.flatMap((file) => {
      try {
        return certificatesOf(file).filter(isNew);
      } catch (error) {
        report(`${variable}: ${file} is not used: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
        return [];
      }
    });
  const { NODE_EXTRA_CA_CERTS: extra = '', SSL_CERT_FILE: file = '', SSL_CERT_DIR: folders = '' } = env;
  const byNode = read('NODE_EXTRA_CA_CERTS', extra === '' ? [] : [extra]);
  const ofFile = read('SSL_CERT_FILE', file === '' ? [] : [file]);
  const listed = folders.split(delimiter).filter((folder) => folder !== '');
  const ofFolders = listed.flatMap((folder) => read('SSL_CERT_DIR', filesOf(folder, report)));
  return { byNode, added: [...ofFile, ...ofFolders] };
}

function filesOf(folder: string, report: (problem: string) => void): string[] {
  try {
    const files = readdirSync(folder).map((name) => join(folder, name));
    return files.filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile() === true).slice(0, MAX_FILES);
  } catch (error) {
    report(`SSL_CERT_DIR: ${folder} is not used: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
    return [];
  }
}

function certificatesOf(file: string): string[] {
  if (statSync(file).size > MAX_FILE_BYTES) throw new Error(`larger than ${MAX_FILE_BYTES} bytes`);
  return readFileSync(file, 'latin1').match(CERTIFICATE) ?? [];
}

/** The same certificate may be wrapped differently. */
function normalized(pem: string): string {
  return pem.replace(/\s+/g, '');
}
