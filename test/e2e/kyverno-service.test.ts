import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { buildImage, loadImage } from '../fakes/images.js';
import { FakeRegistry } from '../fakes/registry.js';
import { BUNDLE, RunningService } from '../fakes/service.js';
import { goToolsAvailable } from '../tools/tool.js';
import { KyvernoCli, type Pod } from './kyverno.js';
import { compileCacheFlags } from '../setup/compile-cache.js';

const available = await goToolsAvailable('the running service behind the real Kyverno engine');
const run = promisify(execFile);

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'team-a', annotations: { note: '{{ request.object }}' } },
  spec: {
    initContainers: [{ name: 'init', image: 'busybox:1' }],
    containers: [
      { name: 'here', image: 'nginx:1.27', args: ['--format={{ .Names }}', '{{ request.object }}'] },
      { name: 'absent', image: 'quay.io/org/app:2' },
      { name: 'filtered', image: 'gcr.io/distroless/static:latest' },
    ],
  },
};

/** The whole feature: the engine runs the policies that the service's command prints, and calls the built service. */
describe.skipIf(!available)('the running service behind the real Kyverno engine', () => {
  let kyverno: KyvernoCli;
  let registry: FakeRegistry;
  let prefix: string;

  beforeAll(async () => {
    kyverno = await KyvernoCli.build();
    registry = await FakeRegistry.start();
    prefix = `${registry.host}/mirror/`;
    loadImage(registry, 'mirror/docker.io/library/nginx', buildImage(), '1.27');
  });
  afterAll(async () => registry?.close());

  describe.each([
    // `exists` swaps only images that the target has. `always` also swaps images that the target does not have.
    { swap: 'exists', images: (to: string) => ['busybox:1', `${to}docker.io/library/nginx:1.27`, 'quay.io/org/app:2'] },
    {
      swap: 'always',
      images: (to: string) => [
        `${to}docker.io/library/busybox:1`,
        `${to}docker.io/library/nginx:1.27`,
        `${to}quay.io/org/app:2`,
      ],
    },
  ])('imageSwapPolicy $swap', ({ swap, images }) => {
    let service: RunningService;

    beforeAll(async () => {
      service = await RunningService.start({
        config: [
          `imageSwapPolicy: ${swap}`,
          'imageCopyPolicy: none',
          'source:',
          '  filters: [{ jmespath: "starts_with(container.image, \'gcr.io/\')" }]',
          'target:',
          '  type: oci',
          `  oci: { registry: "${registry.host}", prefix: mirror, insecure: true }`,
        ].join('\n'),
      });
      await writeFile(join(service.folder, 'ca.crt'), service.ca);
    });
    afterAll(async () => {
      await service?.stop();
    });

    // When this fails because images are swapped, Kyverno has fixed it: MutatingPolicies can then contain a CA
    // certificate,
    // and docs/kyverno.md must be updated.
    const withoutCertificate = 'cannot be called with a CA certificate in a MutatingPolicy, whatever Kyverno documents';
    // One run of this test is enough.
    if (swap === 'always') {
      it(withoutCertificate, async () => {
        const args = ['policies', '--config', service.configFile, '--engine', 'kyverno', '--url', service.url];
        const { stdout } = await run(process.execPath, [...compileCacheFlags(), BUNDLE, ...args], {
          cwd: service.folder,
        });
        expect(stdout).toContain('http.Post(');
        const client = `http.Client(${JSON.stringify(service.ca)}).Post(`;
        const policy = JSON.parse(JSON.stringify(parse(stdout)), (_, value: unknown) =>
          typeof value === 'string' ? value.replaceAll('http.Post(', client) : value,
        ) as object;
        expect(await kyverno.apply({ policy, pod }).then(({ error }) => error, String)).toContain('no such overload');
      });
    }

    it.each([
      { engine: 'kyverno', flags: [] },
      { engine: 'kyverno', flags: ['--fail-closed'] },
      { engine: 'kyverno-clusterpolicy', flags: ['--ca-file', 'ca.crt'] },
      { engine: 'kyverno-clusterpolicy', flags: ['--ca-file', 'ca.crt', '--fail-closed'] },
    ])('swaps as configured with --engine $engine $flags', async ({ engine, flags }) => {
      const { stdout } = await run(
        process.execPath,
        [
          ...compileCacheFlags(),
          BUNDLE,
          'policies',
          '--config',
          service.configFile,
          '--engine',
          engine,
          '--url',
          service.url,
          ...flags,
        ],
        { cwd: service.folder },
      );
      const result = await kyverno.apply({ policy: parse(stdout) as object, pod, trusted: service.ca });
      const [init, here, absent] = images(prefix);
      expect(result).toEqual({
        error: undefined,
        pod: {
          ...pod,
          spec: {
            initContainers: [{ name: 'init', image: init }],
            containers: [
              { ...pod.spec.containers[0], image: here },
              { name: 'absent', image: absent },
              { name: 'filtered', image: 'gcr.io/distroless/static:latest' },
            ],
          },
        },
      });
    });
  });
});
