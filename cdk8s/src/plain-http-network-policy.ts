import { ApiObject } from 'cdk8s';
import type { ApiObjectProps } from 'cdk8s';
import type { Construct } from 'constructs';
import {
  checkLabel,
  checkLabels,
  checkSubdomain,
  NAME_LABEL,
} from '../../extension-service/src/core/policies/options.js';
import { InvalidPolicyOptionError } from '../../extension-service/src/core/policies/problem.js';
import { parseServiceUrl } from '../../extension-service/src/core/policies/url.js';
import { render } from './render.js';

/** The Pods and namespaces that the NetworkPolicy of the plain listener selects. */
export interface PlainListenerProps {
  /**
   * Labels of the service's Pods, which the NetworkPolicy selects in the Service's namespace.
   * @default `app.kubernetes.io/name`: image-swapper if the Service's name contains that, as in its Helm chart; else
   * the Service's name
   */
  readonly podLabels?: Readonly<Record<string, string>>;
  /**
   * Port of the plain listener in the Pods; NetworkPolicies do not use the Service's port.
   * @default the port of `url`
   */
  readonly podPort?: number;
  /**
   * The namespace that Kyverno runs in.
   * @default 'kyverno'
   */
  readonly engineNamespace?: string;
}

export interface PlainHttpNetworkPolicyProps extends PlainListenerProps {
  /** Base address of the plain listener, with its Service: `http://NAME.NAMESPACE.svc:PORT`. */
  readonly url: string;
  /**
   * Name of the NetworkPolicy.
   * @default the Service's name with the suffix `-plain-http`
   */
  readonly name?: string;
  /**
   * Labels of the NetworkPolicy.
   * @default {}
   */
  readonly labels?: Readonly<Record<string, string>>;
}

/**
 * A `NetworkPolicy` that lets only Kyverno's namespace reach the service's plain listener, and everyone its other
 * ports. It works only if the cluster's network plugin enforces NetworkPolicies, and it encrypts nothing.
 */
export class PlainHttpNetworkPolicy extends ApiObject {
  constructor(scope: Construct, id: string, props: PlainHttpNetworkPolicyProps) {
    super(
      scope,
      id,
      render(scope, id, () => networkPolicy(props)),
    );
  }
}

/** The chart's name, which its Pods have as a label regardless of the release's name. */
const CHART = 'image-swapper';

function networkPolicy({ url, name, labels = {}, ...pods }: PlainHttpNetworkPolicyProps): ApiObjectProps {
  const { service, port: urlPort = 80 } = parseServiceUrl(url, 'url');
  if (service === undefined) {
    const shown = JSON.stringify(url);
    throw new InvalidPolicyOptionError('url', `${shown} must name a Service: http://NAME.NAMESPACE.svc:PORT`);
  }
  const { podPort: port = urlPort, engineNamespace = 'kyverno' } = pods;
  const podLabels = pods.podLabels ?? {
    [NAME_LABEL]: service.name.includes(CHART) ? CHART : service.name,
  };
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new InvalidPolicyOptionError('podPort', `${port} must be a whole number from 1 to 65535`);
  if (Object.keys(podLabels).length === 0)
    throw new InvalidPolicyOptionError(
      'podLabels',
      'must have at least one label: an empty selector matches all Pods of the namespace',
    );
  checkLabels(podLabels, 'podLabels');
  checkLabels(labels, 'labels');
  checkLabel(engineNamespace, 'engineNamespace');
  if (name !== undefined) checkSubdomain(name, 'name');
  const kyverno = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': engineNamespace } } };
  const others = [
    ...(port > 1 ? [{ protocol: 'TCP', port: 1, endPort: port - 1 }] : []),
    ...(port < 65_535 ? [{ protocol: 'TCP', port: port + 1, endPort: 65_535 }] : []),
  ];
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: {
      name: name ?? `${service.name}-plain-http`,
      namespace: service.namespace,
      ...(Object.keys(labels).length > 0 && { labels: { ...labels } }),
    },
    ...{
      spec: {
        podSelector: { matchLabels: { ...podLabels } },
        policyTypes: ['Ingress'],
        ingress: [{ from: [kyverno], ports: [{ protocol: 'TCP', port }] }, { ports: others }],
      },
    },
  };
}
