import type { ApiObjectProps } from 'cdk8s';
import { parseServiceUrl } from '../../extension-service/src/core/policies/url.js';

/**
 * Lets only Kyverno's namespace reach the service's plain listener, and everybody its other ports. Undefined when the
 * address is not that of a Service, whose Pods nobody here knows.
 */
export function plainListenerPolicy(url: string): ApiObjectProps | undefined {
  const { service, port = 80 } = parseServiceUrl(url, 'url');
  if (service === undefined) return undefined;
  const kyverno = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kyverno' } } };
  const others = [
    ...(port > 1 ? [{ protocol: 'TCP', port: 1, endPort: port - 1 }] : []),
    ...(port < 65_535 ? [{ protocol: 'TCP', port: port + 1, endPort: 65_535 }] : []),
  ];
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: `${service.name}-plain-http`, namespace: service.namespace },
    ...{
      spec: {
        podSelector: { matchLabels: { 'app.kubernetes.io/name': service.name } },
        policyTypes: ['Ingress'],
        ingress: [{ from: [kyverno], ports: [{ protocol: 'TCP', port }] }, { ports: others }],
      },
    },
  };
}
