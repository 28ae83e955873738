import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CA_FIELD_MANAGER,
  releasePatch,
} from '../../../extension-service/src/kubernetes/serving-certificate/field-ownership.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { ControlPlane } from './control-plane.js';
import { expectOk } from './kube-api.js';
import type { ApiReply } from './kube-api.js';

const available = await goToolsAvailable('who owns a CA certificate in the API server');
const PATH = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/example';
const CA_PATH = '/webhooks/0/clientConfig/caBundle';
const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe.skipIf(!available)('a CA certificate that the service wrote into an object of a release', () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await ControlPlane.start();
  });
  afterAll(async () => plane?.stop());

  /** Applies an object like Helm 4, server-side and without force. */
  async function apply(authority: string): Promise<ApiReply> {
    const object = {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'example' },
      webhooks: [
        {
          name: 'pods.example.com',
          admissionReviewVersions: ['v1'],
          sideEffects: 'None',
          failurePolicy: 'Ignore',
          clientConfig: { url: 'https://127.0.0.1:1/', caBundle: base64(authority) },
        },
      ],
    };
    return plane.api.send('PATCH', `${PATH}?fieldManager=helm`, object, 'application/apply-patch+yaml');
  }
  const patch = async (body: readonly object[]): Promise<ApiReply> =>
    expectOk(
      await plane.api.send('PATCH', `${PATH}?fieldManager=${CA_FIELD_MANAGER}`, body, 'application/json-patch+json'),
      'patch',
    );

  it('can be changed by the release again after the service gave up its ownership', async () => {
    expectOk(await apply('placeholder'), 'apply');
    const { body } = await patch([{ op: 'add', path: CA_PATH, value: base64('authority') }]);
    expect((await apply('placeholder')).status).toBe(409);

    const released = await patch(releasePatch(body) ?? []);
    expect(releasePatch(released.body)).toBeUndefined();
    expect(released.body).toMatchObject({ webhooks: [{ clientConfig: { caBundle: base64('authority') } }] });
    expect(expectOk(await apply('placeholder'), 'apply').body).toMatchObject({
      webhooks: [{ clientConfig: { caBundle: base64('placeholder') } }],
    });
  });
});
