import { rootCertificates } from 'node:tls';
import { stringify } from 'yaml';
import type { Engine } from '../core/engines/engine.js';
import { TLS_URL } from '../core/engines/transport.js';

/**
 * Values for the engine's Helm chart as YAML with explanatory comments; only comments if the chart needs no values.
 *
 * @param ca CA certificates (PEM) that sign the service's certificate
 */
export function engineValues(engine: Engine, url: string | undefined, ca: string | undefined): string {
  const { notes, values } = engine.helmValues({
    url: url ?? TLS_URL,
    ...(ca !== undefined && { caBundle: ca }),
    publicRoots: { pem: rootCertificates.join('\n'), knownTo: `Node ${process.versions.node}` },
  });
  return `${notes.map((note) => `# ${note}\n`).join('')}${stringify(values, { lineWidth: 0 })}`;
}
