import { rootCertificates } from 'node:tls';
import { stringify } from 'yaml';
import { gatekeeperChartValues, KYVERNO_1_18_BLOCKLIST, kyvernoChartValues } from '../core/policies/engine-values.js';
import { TLS_URL } from '../core/policies/transport.js';
import type { Engine } from '../core/policies/transport.js';
import { parseServiceUrl } from '../core/policies/url.js';

/**
 * Values for the Helm chart of the engine, YAML with what to know about them; with no value in it when the chart needs
 * none.
 *
 * @param ca PEM text of the authorities that sign the service's certificate
 */
export function engineValues(engine: Engine, url: string | undefined, ca: string | undefined): string {
  switch (engine) {
    case 'gatekeeper': {
      const { service } = parseServiceUrl(url ?? TLS_URL, 'url');
      const values = gatekeeperChartValues(service === undefined ? {} : { serviceNamespace: service.namespace });
      return withNotes(GATEKEEPER, values);
    }
    case 'kyverno':
      if (ca === undefined) return withNotes([...KYVERNO_AS_IT_IS, ...KYVERNO_1_18], {});
      return withNotes([...KYVERNO_TRUST, ...KYVERNO_1_18], kyvernoChartValues(ca, rootCertificates.join('\n')));
    case 'kyverno-clusterpolicy':
      return withNotes(['The policy carries the authority, or reads it from a ConfigMap: Kyverno works as it is.'], {});
    case 'webhook':
      return withNotes(['There is no engine, so there is no chart.'], {});
  }
}

const GATEKEEPER = [
  "Values for Gatekeeper's own Helm chart: without them its webhook gives up before an Assign can say what a failure means,",
  'and a sidecar that a later webhook adds is not looked at.',
];
const KYVERNO_TRUST = [
  "Values for Kyverno's own Helm chart. They take the place of its whole trust store, so the public authorities that",
  `Node ${process.versions.node} knows are in them too, for what else Kyverno calls. Add other private ones that you use, and print`,
  'them again when your authority changes.',
];
const KYVERNO_AS_IT_IS = [
  'Kyverno works as it is with plain HTTP and with a public certificate. For a certificate of your own authority, give it',
  'as --ca-file.',
];
const KYVERNO_1_18 = [
  'Kyverno 1.18, unlike 1.19 and newer, lets policies call no Service of the cluster unless it is told what to block instead:',
  `  --set "admissionController.container.extraArgs.httpBlocklist=${KYVERNO_1_18_BLOCKLIST.replaceAll(',', '\\,')}"`,
];

function withNotes(notes: readonly string[], values: object): string {
  return `${notes.map((note) => `# ${note}\n`).join('')}${stringify(values, { lineWidth: 0 })}`;
}
