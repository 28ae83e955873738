import fc from 'fast-check';
import { hostileReferenceText, legalReferenceText } from '../image/arbitraries.js';

/** AdmissionRequests for Pods. Most are as the API server sends them; parts may be any other JSON. */

const noise = fc.jsonValue({ maxDepth: 2 });
const sometimes = (arbitrary: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 12, arbitrary }, { weight: 1, arbitrary: noise });

/** Hosts and paths of the targets in the rules of these tests. Some images are thus in a target or close to one. */
const nearTarget = fc
  .tuple(
    fc.constantFrom(
      'mirror.test/',
      'mirror.test/team/',
      'mirror.test:443/team/',
      '123456789012.dkr.ecr.eu-central-1.amazonaws.com/',
      '123456789012.dkr-ecr.eu-central-1.on.aws/',
      'europe-west1-docker.pkg.dev/my-project/mirror/',
      'europe-west1-docker.pkg.dev/my-project/mirror2/',
    ),
    fc.constantFrom('', 'docker.io/', 'quay.io/', 'team/'),
    fc.constantFrom('app', 'library/nginx:1', 'a__b/c--d', `x@sha256:${'a'.repeat(64)}`),
  )
  .map((parts) => parts.join(''));

export const imageText = fc.oneof(
  { weight: 6, arbitrary: legalReferenceText },
  { weight: 2, arbitrary: nearTarget },
  { weight: 2, arbitrary: hostileReferenceText },
  { weight: 1, arbitrary: fc.constant('') },
);

const containerName = fc.constantFrom('app', 'sidecar', 'istio-proxy', '__proto__', 'constructor', 'toString', '');
const container = fc.record(
  {
    name: sometimes(containerName),
    image: sometimes(imageText),
    imagePullPolicy: sometimes(fc.constantFrom('Always', 'IfNotPresent', 'Never')),
    env: sometimes(fc.array(fc.record({ name: fc.string(), value: fc.string() }), { maxLength: 2 })),
    resources: sometimes(fc.constant({ limits: { memory: '1Gi' } })),
  },
  { requiredKeys: ['name', 'image'] },
);
const containers = (most: number): fc.Arbitrary<unknown> =>
  sometimes(fc.array(sometimes(container), { minLength: 1, maxLength: most }));

const volume = fc.record(
  {
    name: sometimes(containerName),
    image: sometimes(
      fc.record({ reference: sometimes(imageText), pullPolicy: sometimes(fc.constantFrom('Always', 'Never')) }),
    ),
    emptyDir: fc.constant({}),
  },
  { requiredKeys: ['name'] },
);

const namespace = fc.constantFrom('default', 'team-a', 'eu-west', 'kube-system', '');
const keys = fc.constantFrom(
  'image-swapper.io/skip',
  'image-swapper.io/skip-containers',
  'kubernetes.io/config.mirror',
  'team',
  '__proto__',
);
const labels = fc.dictionary(keys, fc.constantFrom('true', 'app', 'app, sidecar', 'eu', ''), { maxKeys: 1 });
const rarely = (arbitrary: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: sometimes(arbitrary) });

const pod = fc.record(
  {
    apiVersion: fc.constant('v1'),
    kind: fc.constant('Pod'),
    metadata: sometimes(
      fc.record(
        { name: fc.string(), namespace: sometimes(namespace), labels: rarely(labels), annotations: rarely(labels) },
        { requiredKeys: [] },
      ),
    ),
    spec: sometimes(
      fc.record(
        {
          containers: containers(4),
          initContainers: rarely(containers(2)),
          ephemeralContainers: rarely(containers(2)),
          volumes: rarely(fc.array(sometimes(volume), { maxLength: 3 })),
          imagePullSecrets: rarely(fc.array(noise, { maxLength: 2 })),
          serviceAccountName: rarely(fc.string()),
        },
        { requiredKeys: ['containers'] },
      ),
    ),
    status: rarely(noise),
  },
  { requiredKeys: ['kind', 'spec'] },
);

export const admissionRequest = fc.record(
  {
    uid: sometimes(fc.uuid()),
    operation: fc.oneof(
      { weight: 8, arbitrary: fc.constant('CREATE') },
      { weight: 2, arbitrary: fc.constant('UPDATE') },
      { weight: 1, arbitrary: noise },
    ),
    namespace: sometimes(namespace),
    dryRun: fc.boolean(),
    object: sometimes(pod),
    oldObject: rarely(pod),
  },
  { requiredKeys: ['operation', 'object'] },
);
