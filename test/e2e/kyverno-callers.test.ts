import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { renderKyvernoClusterPolicy } from '../../extension-service/src/core/engines/kyverno-clusterpolicy/cluster-policy.js';
import { renderKyvernoMutatingPolicy } from '../../extension-service/src/core/engines/kyverno/mutating-policy.js';
import { AdmissionStub } from '../fakes/admission-stub.js';
import { goToolsAvailable } from '../tools/tool.js';
import { KyvernoCli, type Pod } from './kyverno.js';

const available = await goToolsAvailable('the caller credential that the real Kyverno engine sends');
const targets = ['mirror.example.com/'];
const token = 'kyverno-token';
const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'team-a' },
  spec: { containers: [{ name: 'a', image: 'nginx:1' }] },
};

describe.skipIf(!available)('the caller credential that the real Kyverno engine sends', () => {
  let kyverno: KyvernoCli;
  let stub: AdmissionStub;
  beforeAll(async () => {
    kyverno = await KyvernoCli.build();
    stub = await AdmissionStub.start({ answer: () => ({ body: { images: {}, patches: [] } }) });
  });
  afterAll(async () => stub?.close());

  it('is the ServiceAccount token with a ClusterPolicy, which auth.kyverno.token accepts', async () => {
    stub.authorizations.length = 0;
    await kyverno.apply({ policy: renderKyvernoClusterPolicy({ url: stub.url, targets }), pod, token });
    expect(stub.authorizations).toEqual([`Bearer ${token}`]);
  });

  // When this fails, CEL sends the token. Then auth.kyverno.token can also support MutatingPolicies (`proves` of the
  // engine).
  it('is absent with a MutatingPolicy, which therefore needs auth.kyverno.secret', async () => {
    stub.authorizations.length = 0;
    await kyverno.apply({ policy: renderKyvernoMutatingPolicy({ url: stub.url, targets }), pod, token });
    expect(stub.authorizations).toEqual([undefined]);
  });
});
