import { rootCertificates } from 'node:tls';
import { stringify } from 'yaml';
import type { Engine } from '../core/engines/engine.js';
import { TLS_URL } from '../core/engines/transport.js';

/**
 * Values for the Helm chart of the engine, YAML with what to know about them; with no value in it when the chart needs
 * none.
 *
 * @param ca PEM text of the authorities that sign the service's certificate
 */
export function engineValues(engine: Engine, url: string | undefined, ca: string | undefined): string {
  const { notes, values } = engine.helmValues({
    url: url ?? TLS_URL,
    ...(ca !== undefined && { caBundle: ca }),
    publicRoots: { pem: rootCertificates.join('\n'), knownTo: `Node ${process.versions.node}` },
  });
  return `${notes.map((note) => `# ${note}\n`).join('')}${stringify(values, { lineWidth: 0 })}`;
}
