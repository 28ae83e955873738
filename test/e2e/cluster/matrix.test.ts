import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCertificates } from '../../fakes/certificates.js';
import { get } from '../../fakes/https-client.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { installEngine, objectsOf, uninstallEngine } from './engine-install.js';
import { ENGINES, SHORT_TIMEOUT } from './engines.js';
import { FAULTS, FaultyService } from './faulty-service.js';
import { Outcomes } from './outcomes.js';
import { expectOk } from './kube-api.js';
import { create, debug, imagesOf, label, pod, stored, tryOut, volumesOf } from './pods.js';
import { SidecarWebhook } from './sidecar-webhook.js';
import { World } from './world.js';
import { until } from '../../fakes/until.js';

const available = await goToolsAvailable('the policies in a real cluster');
const outcomes = new Outcomes(ENGINES.map(({ name }) => name));
/** The suite writes docs/engines.md instead of comparing with it. */
const WRITE = process.env['WRITE_OUTCOMES'] !== undefined;

/**
 * The tests use kube-apiserver, Kyverno, Gatekeeper and the service in their released form. Only faults are simulated.
 */
describe.skipIf(!available)('the policies in a real cluster', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(async () => world?.stop());

  describe.each(ENGINES)('$name', (engine) => {
    const saw = (what: string, outcome: string): void => outcomes.record(engine.name, what, outcome);

    describe('with a service that works', () => {
      beforeAll(async () => installEngine(world, engine, { failClosed: false }));
      afterAll(async () => uninstallEngine(world, engine));

      it('swaps the images of all containers at creation, with one call', async () => {
        const { api } = world.plane;
        const [init, sidecar, app] = await world.mirroredImages(3);
        const before = await world.requests(engine.route);
        const made = pod(app, {
          initContainers: [
            { name: 'init', image: init },
            { name: 'sidecar', image: sidecar, restartPolicy: 'Always' },
          ],
          containers: [
            { name: 'app', image: app },
            { name: 'filtered', image: `${world.source.host}/filtered:1` },
          ],
        });
        const admission = await create(api, made);
        expect(admission).toMatchObject({
          images: {
            app: world.swapped(app),
            filtered: `${world.source.host}/filtered:1`,
            init: world.swapped(init),
            sidecar: world.swapped(sidecar),
          },
        });
        expect(imagesOf(await stored(api, made))).toEqual(admission.admitted && admission.images);
        expect((await world.requests(engine.route)) - before).toBe(1);
        saw('new Pod: containers, init containers, sidecars', 'swapped, 1 call');
      });

      it('swaps image volumes at creation, with the containers, and no other volume', async () => {
        const { api } = world.plane;
        const [app, model] = await world.mirroredImages(2);
        const before = await world.requests(engine.route);
        const made = pod(app, {
          volumes: [
            { name: 'scratch', emptyDir: {} },
            // This volume has the same name as a container, but a different image.
            { name: 'app', image: { reference: model, pullPolicy: 'Always' } },
            { name: 'filtered', image: { reference: `${world.source.host}/filtered:1` } },
            { name: 'odd', image: { reference: 'NOT a ref!!' } },
          ],
        });
        expect(await create(api, made)).toMatchObject({ images: { app: world.swapped(app) } });
        const live = await stored(api, made);
        expect(volumesOf(live)).toEqual({
          app: world.swapped(model),
          filtered: `${world.source.host}/filtered:1`,
          odd: 'NOT a ref!!',
        });
        expect(live.spec.volumes?.slice(0, 2)).toEqual([
          { name: 'scratch', emptyDir: {} },
          { name: 'app', image: { reference: world.swapped(model), pullPolicy: 'Always' } },
        ]);
        expect((await world.requests(engine.route)) - before).toBe(1);
        // A webhook that changed the image at updates would cause an error for each update.
        expect(await label(api, made, { touched: 'yes' })).toMatchObject({ admitted: true });
        saw('new Pod: image volumes', 'swapped, same call');
      });

      it('leaves a Deployment unchanged without a call', async () => {
        const app = await world.probe();
        const before = await world.requests(engine.route);
        expect(await createDeployment(app)).toEqual({ app });
        expect(await world.requests(engine.route)).toBe(before);
        saw('Deployment', 'template untouched');
      });

      it('keeps every other field of a Pod', async () => {
        const app = await world.probe();
        const args = ['--format={{ .Names }}', '{{ request.object }}', '{{ request.operation }}', "'", '"', '\\', '`'];
        const annotations = { note: '{{ request.object.metadata }}', open: '{{', close: '}}' };
        const made = pod(app, { containers: [{ name: 'app', image: app, args }] }, { annotations });
        const bare = await world.plane.api.create({
          ...made,
          metadata: { ...made.metadata, namespace: 'kube-system' },
        });
        const admission = await create(world.plane.api, made);
        if (!admission.admitted) throw new Error(admission.message);
        const untouched = bare.body as typeof admission.object;
        expect(untouched.spec.containers[0]?.image).toBe(app);
        const { containers, ...spec } = admission.object.spec;
        const { containers: bareContainers, ...bareSpec } = untouched.spec;
        expect(spec).toEqual(bareSpec);
        expect(containers).toEqual(bareContainers.map((container) => ({ ...container, image: world.swapped(app) })));
        expect(admission.object.metadata['annotations']).toEqual(annotations);
        saw('everything else in a Pod', 'unchanged');
      });

      it('skips excluded namespaces, without a call', async () => {
        const app = await world.probe();
        const before = await world.requests(engine.route);
        for (const namespace of ['kube-system', 'image-swapper']) {
          const made = pod(app, {}, { namespace });
          expect(await create(world.plane.api, made)).toMatchObject({ images: { app } });
        }
        expect(await world.requests(engine.route)).toBe(before);
        saw('Pod of an excluded namespace', 'unchanged, no call');
      });

      it('makes no call for Pods that a filter or their author excludes', async () => {
        const app = await world.probe();
        const before = await world.requests(engine.route);
        for (const labels of [{ tier: 'system' }, { 'image-swapper.io/skip': 'true' }]) {
          expect(await create(world.plane.api, pod(app, {}, { labels }))).toMatchObject({ images: { app } });
        }
        expect(await world.requests(engine.route)).toBe(before);
        const labels = { tier: 'web', 'image-swapper.io/skip': 'false' };
        expect(await create(world.plane.api, pod(app, {}, { labels }))).toMatchObject({
          images: { app: world.swapped(app) },
        });
        saw('Pod that a filter on labels leaves alone, or its author', 'unchanged, no call');
      });

      it('reports that the policies match the configuration', async () => {
        const { text } = await get(`${world.service.operations}/metrics`);
        expect(text).not.toContain('image_swapper_policy_mismatches_total{');
      });

      it('leaves no default inside a list to the API server, which Argo CD would show as a difference', async () => {
        for (const object of objectsOf(world, engine, { failClosed: false })) {
          // Argo CD knows the lists of Kubernetes' own kinds.
          if (object.apiVersion.startsWith('admissionregistration.k8s.io/')) continue;
          expectSameLists(object, expectOk(await world.plane.api.get(object), 'get').body);
        }
      });

      it('makes no call for images in the target', async () => {
        const app = await world.probe();
        const before = await world.requests(engine.route);
        expect(await create(world.plane.api, pod(world.swapped(app)))).toMatchObject({
          images: { app: world.swapped(app) },
        });
        const calls = (await world.requests(engine.route)) - before;
        // Gatekeeper cannot check an image before it calls the service. A webhook that does is not called again for
        // sidecars.
        expect(calls).toBe(engine.route === 'kyverno' ? 0 : 1);
        saw('Pod whose images are in the target', calls === 0 ? 'unchanged, no call' : 'unchanged, 1 call');
      });

      it('decides a dry run without copying', async () => {
        const { api } = world.plane;
        const here = await world.probe();
        const made = pod(here);
        expect(await tryOut(api, made)).toMatchObject({ images: { app: world.swapped(here) } });
        expect((await api.get(made)).status).toBe(404);
        const absent = await world.image();
        expect(await tryOut(api, pod(absent))).toMatchObject({ images: { app: absent } });
        const { text } = await get(`${world.service.operations}/v1/mirrors`);
        expect(text).not.toContain(absent);
        expect(await world.isMirrored(absent)).toBe(false);
        saw('server-side dry run', 'decided, nothing copied');
      });

      it('swaps only new Pods once the image is in the target, and keeps the images of running ones', async () => {
        const { api } = world.plane;
        const image = await world.image();
        const live = pod(image);
        expect(await create(api, live)).toMatchObject({ images: { app: image } });
        if (engine.copies) await world.waitUntilMirrored(image);
        else await world.mirror(image);
        // After a lookup without a result, the service does not look up the image again for some seconds.
        await until('a new Pod is swapped', async () => {
          const admission = await tryOut(api, pod(image));
          return admission.admitted && admission.images['app'] === world.swapped(image);
        });
        const before = await world.requests(engine.route);
        expect(await label(api, live, { touched: 'yes' })).toMatchObject({ images: { app: image } });
        expect(imagesOf(await stored(api, live))).toEqual({ app: image });
        expect(await world.requests(engine.route)).toBe(before);
        saw('image not in the target yet', engine.copies ? 'unchanged, copied' : 'unchanged, not copied');
        saw('label of a live Pod', 'images kept, no call');
      });

      it('handles ephemeral containers', async () => {
        const { api } = world.plane;
        const [app, first, second] = await world.mirroredImages(3);
        const live = pod(app);
        await create(api, live);
        const swap = engine.ephemeral ? (image: string) => world.swapped(image) : (image: string) => image;
        expect(await debug(api, live, { name: 'first', image: first })).toMatchObject({
          images: { first: swap(first) },
        });
        expect(await debug(api, live, { name: 'second', image: second })).toMatchObject({
          images: { app: world.swapped(app), first: swap(first), second: swap(second) },
        });
        saw('ephemeral containers', engine.ephemeral ? 'new ones swapped' : 'unchanged unless asked for');
      });

      it('decides correctly about a Pod that is admitted again after a later webhook', async () => {
        const { api } = world.plane;
        const [app, sidecar] = await world.mirroredImages(2);
        const webhook = await SidecarWebhook.start(sidecar);
        await api.apply(webhook.configuration);
        try {
          const made = () => pod(app, {}, { labels: { sidecar: 'wanted' } });
          await until('the sidecar is added', async () => {
            const admission = await tryOut(api, made());
            return admission.admitted && admission.images['sidecar'] !== undefined;
          });
          const expected = {
            images: { app: world.swapped(app), sidecar: engine.reinvoked ? world.swapped(sidecar) : sidecar },
          };
          expect(await create(api, made())).toMatchObject(expected);
          // The target already has the Pod's own images.
          const mirrored = pod(world.swapped(app), {}, { labels: { sidecar: 'wanted' } });
          expect(await create(api, mirrored)).toMatchObject(expected);
        } finally {
          await api.remove(webhook.configuration);
          await webhook.stop();
        }
        saw('sidecar of a later webhook', engine.reinvoked ? 'swapped too' : 'not seen; the others are swapped once');
      });

      it('swaps 200 Pods in parallel with one call each', async () => {
        const app = await world.probe();
        const before = await world.requests(engine.route);
        const made = await Promise.all(Array.from({ length: 200 }, () => create(world.plane.api, pod(app))));
        expect(made.map((admission) => admission.admitted && admission.images['app'])).toEqual(
          made.map(() => world.swapped(app)),
        );
        expect((await world.requests(engine.route)) - before).toBe(200);
        // By default, Kyverno stores a report for each Pod that a policy has changed.
        const reports = await world.plane.api.send('GET', '/apis/reports.kyverno.io/v1/ephemeralreports');
        expect(expectOk(reports, 'list the reports').body).toMatchObject({ items: [] });
        saw('200 Pods at once', 'all swapped, 1 call each');
      });
    });

    describe.each([
      { failClosed: false, outcome: 'unchanged' },
      { failClosed: true, outcome: 'refused' },
    ])('with failClosed $failClosed', ({ failClosed, outcome }) => {
      let image: string;
      const front = () => world.fronts[engine.scheme];
      const mode = failClosed ? 'fail closed' : 'fail open';

      beforeAll(async () => {
        image = await world.probe();
        await installEngine(world, engine, { failClosed, timeoutSeconds: SHORT_TIMEOUT });
      });
      afterAll(async () => {
        await world.restore();
        await uninstallEngine(world, engine);
      });

      async function admit(): Promise<string> {
        const admission = await create(world.plane.api, pod(image));
        if (!admission.admitted) return 'refused';
        return admission.images['app'] === image ? 'unchanged' : String(admission.images['app']);
      }

      it(`a Pod is ${outcome} when the service is down`, async () => {
        await front().disconnect();
        expect(await admit()).toBe(outcome);
        saw(`service down, ${mode}`, outcome);
      });

      it.each(FAULTS)(`a Pod is ${outcome} when the service is faulty: %s`, async (fault) => {
        const faulty = await FaultyService.start(fault, engine.scheme === 'https' ? { tls: await world.tls() } : {});
        try {
          await front().setBackendPort(faulty.port);
          // A call over a connection that the change of ports has just ended fails before it reaches the service.
          await until('a call of the faulty service', async () => {
            expect(await admit()).toBe(outcome);
            return faulty.calls > 0;
          });
        } finally {
          await faulty.stop();
        }
        saw(`service ${fault === 'slow' ? 'slow' : `answers ${fault}`}, ${mode}`, outcome);
      });

      it(`a Pod is ${outcome} when another CA signed the certificate`, async () => {
        if (engine.scheme === 'http') {
          saw(`wrong certificate, ${mode}`, 'no TLS');
          return;
        }
        const impostor = await FaultyService.start('forging', {
          tls: await makeCertificates({ hosts: ['127.0.0.1'] }),
          forged: world.swapped('forged:1'),
        });
        try {
          await front().setBackendPort(impostor.port);
          expect(await admit()).toBe(outcome);
          expect(impostor.calls).toBe(0);
        } finally {
          await impostor.stop();
        }
        saw(`wrong certificate, ${mode}`, outcome);
      });

      it('a service with forged answers cannot send Pods to other registries, as far as the engine can check', async () => {
        const forged = 'evil.example.com/forged:1';
        const tls = engine.scheme === 'https' ? { tls: await world.tls() } : {};
        const forging = await FaultyService.start('forging', { ...tls, forged });
        try {
          await front().setBackendPort(forging.port);
          const admission = await create(world.plane.api, pod(image));
          if (!admission.admitted) throw new Error(admission.message);
          const { hostNetwork, containers } = admission.object.spec;
          expect(forging.calls).toBe(1);
          expect(admission.images).toEqual({ app: engine.guarded ? image : forged });
          const onlyImages = engine.guarded || engine.route === 'gatekeeper';
          expect({ hostNetwork, command: containers[0]?.['command'] }).toEqual(
            onlyImages ? {} : { hostNetwork: true, command: ['/bin/forged'] },
          );
          const unguarded = onlyImages ? 'images as answered, nothing else' : 'whatever is answered';
          saw(`service forges answers, ${mode}`, engine.guarded ? 'nothing outside the targets' : unguarded);
        } finally {
          await forging.stop();
        }
      });

      it('creates a Deployment regardless of the service', async () => {
        await front().disconnect();
        expect(await createDeployment(image)).toEqual({ app: image });
      });

      it('works again once the service does', async () => {
        await world.restore();
        await world.probe();
        expect(await admit()).toBe(world.swapped(image));
        saw(`service back, ${mode}`, 'swapped');
      });
    });
  });

  it('docs/engines.md shows the observed results', async () => {
    const table = await outcomes.table();
    process.stdout.write(`\n${table}\n`);
    if (WRITE) await Outcomes.table.write(table);
    expect(await Outcomes.table.text()).toBe(table);
  });

  /** Returns the images in the Pod template. */
  async function createDeployment(image: string): Promise<Record<string, string>> {
    const { metadata, spec } = pod(image);
    const selector = { matchLabels: { app: 'x' } };
    const template = { metadata: { labels: selector.matchLabels }, spec };
    const object = { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec: { selector, template } };
    const { body } = expectOk(await world.plane.api.create(object), 'create a Deployment');
    return imagesOf((body as { spec: { template: unknown } }).spec.template);
  }
});

/** Fails if a list of the applied object has other entries, or entries with more fields, in the live one. */
function expectSameLists(applied: unknown, live: unknown): void {
  if (Array.isArray(applied)) expect(live).toEqual(applied);
  else if (typeof applied === 'object' && applied !== null) {
    for (const [key, value] of Object.entries(applied)) expectSameLists(value, (live as Record<string, unknown>)[key]);
  }
}
