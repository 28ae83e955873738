import { describe, expect, it } from 'vitest';
import { gatekeeperChartValues } from '../../../extension-service/src/core/engines/gatekeeper/chart-values.js';
import { kyvernoChartValues } from '../../../extension-service/src/core/engines/kyverno/chart-values.js';
import { CA, pem } from './example-options.js';

describe("values for the engines' own charts", () => {
  it('give Gatekeeper more time than its provider, so that the Assign handles a failure', () => {
    for (const timeoutSeconds of [1, 5, 28]) {
      expect(gatekeeperChartValues({ timeoutSeconds }).mutatingWebhookTimeoutSeconds).toBeGreaterThan(timeoutSeconds);
    }
    for (const timeoutSeconds of [29, 30]) {
      expect(() => gatekeeperChartValues({ timeoutSeconds })).toThrow(
        `timeoutSeconds: ${timeoutSeconds} must be at most 28: Gatekeeper's webhook times out after 30 s`,
      );
    }
    expect(gatekeeperChartValues()).toEqual({
      enableExternalData: true,
      disableMutation: false,
      mutatingWebhookTimeoutSeconds: 3,
      mutatingWebhookFailurePolicy: 'Ignore',
      mutatingWebhookReinvocationPolicy: 'IfNeeded',
      mutatingWebhookExemptNamespacesLabels: {
        'kubernetes.io/metadata.name': ['kube-system', 'kube-public', 'kube-node-lease', 'image-swapper'],
      },
      logLevel: 'INFO',
    });
  });

  it('add the CA certificate to the trust store of Kyverno', () => {
    const roots = pem('AAAA');
    expect(kyvernoChartValues(CA).admissionController.caCertificates.data).toBe(CA);
    expect(kyvernoChartValues(CA, roots).admissionController.caCertificates.data).toBe(`${CA}${roots}`);
    expect(() => kyvernoChartValues(pem('AAAA', 'PRIVATE KEY'))).toThrow(
      'caBundle: contains -----BEGIN PRIVATE KEY-----',
    );
  });
});
