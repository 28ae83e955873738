import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { buildImage, loadImage } from '../fakes/images.js';
import { FakeRegistry } from '../fakes/registry.js';
import { RunningService } from '../fakes/service.js';
import { post } from '../fakes/https-client.js';
import { parseArguments, USAGE } from './arguments.js';
import type { DemoArguments } from './arguments.js';
import { pull } from './compare.js';
import { DemoError } from './error.js';
import { applyPatches, policyCall } from './policy-call.js';
import { waitForMirrors } from './progress.js';
import { synthesize } from './synthesize.js';

const PREFIX = 'mirror';
const out = process.stdout;

/** Runs the main use case end to end on this machine only: see README.md. */
async function demo(args: DemoArguments): Promise<void> {
  const started = Date.now();
  const cleanup: (() => Promise<unknown>)[] = [];
  try {
    step('Build the extension service');
    execFileSync(process.execPath, ['build.mjs'], {
      cwd: fileURLToPath(new URL('../../extension-service/', import.meta.url)),
      stdio: 'inherit',
    });

    const source = await FakeRegistry.start();
    const target = await FakeRegistry.start();
    cleanup.push(
      () => source.close(),
      () => target.close(),
    );
    const own = buildImage({
      platforms: ['linux/amd64', 'linux/arm64', 'linux/arm/v7'],
      layersPerPlatform: 3,
      layerSize: 2_000_000,
    });
    if (args.image === undefined) loadImage(source, 'demo/app', own, '1.0');
    const image = args.image ?? `${source.host}/demo/app:1.0`;
    step(
      `Start two registries: source ${args.image === undefined ? source.host : image.split('/')[0]}, target ${target.host}`,
    );

    step('Start the extension service over HTTPS with a fresh certificate');
    const config = stringify({
      target: { type: 'oci', oci: { registry: target.host, prefix: PREFIX, insecure: true } },
      source: {
        filters: [{ jmespath: "container.name == 'left-alone'" }],
        registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }],
      },
    });
    const { HTTPS_PROXY, HTTP_PROXY, NO_PROXY, https_proxy, http_proxy, no_proxy } = process.env;
    const proxies = Object.entries({ HTTPS_PROXY, HTTP_PROXY, NO_PROXY, https_proxy, http_proxy, no_proxy });
    const service = await RunningService.start({
      config,
      listen: `127.0.0.1:${args.port}`,
      env: Object.fromEntries(proxies.filter((entry): entry is [string, string] => entry[1] !== undefined)),
    }).catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      throw new DemoError(reason.replace('--listen-address', '--port'));
    });
    cleanup.push(() => service.stop());
    note(`configuration:\n${config.trimEnd()}`);
    note(`listening on ${service.url}`);

    step('Synthesize the policies with cdk8s');
    const targets = [`${target.host}/${PREFIX}/`];
    const { clusterPolicy } = await synthesize({ url: service.url, ca: service.ca, targets });
    const call = policyCall(clusterPolicy);
    note(`the ClusterPolicy POSTs to ${call.url} and accepts only images under ${targets.join(', ')}`);

    const pod = examplePod(image);
    const ask = async (): Promise<unknown> => {
      const reply = await post(call.url, call.body(admissionRequest(pod)), {
        headers: call.headers,
        ...(call.ca !== undefined && { ca: call.ca }),
      });
      if (reply.status !== 200) throw new DemoError(`the service answered ${reply.status}: ${reply.text}`);
      return applyPatches(pod, reply.json(), targets);
    };

    step('Create a Pod: not mirrored yet, so it keeps its images, and the copy starts');
    show(pod, await ask());
    step('Wait for the mirror');
    await waitForMirrors(service.operations, args.timeout, out);
    step('Create the Pod again: swapped');
    const swapped = await ask();
    show(pod, swapped);

    step('Pull the mirrored image with another client and compare every digest');
    const reference = images(swapped).find(({ name }) => name === 'app')?.image ?? '';
    const { repository, tag } = split(reference);
    if (!targets.some((prefix) => reference.startsWith(prefix)))
      throw new DemoError(`the Pod was not swapped: ${reference}`);
    const mirrored = await pull(target.origin, repository, tag);
    const original = args.image === undefined ? await pull(source.origin, 'demo/app', '1.0') : undefined;
    const rows = mirrored.platforms.map(({ platform, digest, pulled }) => {
      const expected = original?.platforms.find((child) => child.platform === platform)?.digest ?? digest;
      return { platform, expected, pulled, equal: expected === digest && digest === pulled };
    });
    rows.unshift({
      platform: rows.length === 0 ? 'image' : 'index',
      expected: original?.digest ?? mirrored.digest,
      pulled: mirrored.digest,
      equal: (original?.digest ?? mirrored.digest) === mirrored.digest,
    });
    summary(rows, args.image === undefined);
    note(
      `${mirrored.blobs} blobs pulled and hashed; ${target.accessLog.length} requests at the target; ${((Date.now() - started) / 1_000).toFixed(1)} s in all`,
    );
    if (rows.some(({ equal }) => !equal)) throw new DemoError('a digest in the target differs from the source');
  } finally {
    for (const close of cleanup.reverse()) await close();
  }
}

function examplePod(image: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'default', labels: { app: 'web' } },
    spec: {
      initContainers: [{ name: 'prepare', image }],
      containers: [
        { name: 'app', image },
        { name: 'left-alone', image: 'registry.k8s.io/pause:3.10' },
      ],
    },
  };
}

function admissionRequest(pod: object): object {
  return {
    uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    resource: { group: '', version: 'v1', resource: 'pods' },
    operation: 'CREATE',
    name: 'web',
    namespace: 'default',
    userInfo: { username: 'demo' },
    dryRun: false,
    object: pod,
    oldObject: null,
  };
}

function images(pod: unknown): { list: string; name: string; image: string }[] {
  const { spec } = pod as { spec: Record<string, { name: string; image: string }[]> };
  return Object.entries(spec).flatMap(([list, entries]) => entries.map(({ name, image }) => ({ list, name, image })));
}

function show(before: unknown, after: unknown): void {
  const now = images(after);
  images(before).forEach(({ list, name, image }, index) => {
    const result = now[index]?.image ?? image;
    out.write(
      `   ${list}/${name}\n      before: ${image}\n      after:  ${result}${result === image ? '  (kept)' : ''}\n`,
    );
  });
}

function split(reference: string): { repository: string; tag: string } {
  const path = reference.slice(reference.indexOf('/') + 1);
  const separator = path.includes('@') ? '@' : ':';
  const at = path.lastIndexOf(separator);
  return { repository: path.slice(0, at), tag: path.slice(at + 1) };
}

function summary(
  rows: readonly { platform: string; expected: string; pulled: string; equal: boolean }[],
  known: boolean,
): void {
  const width = Math.max(...rows.map(({ platform }) => platform.length));
  out.write(
    `   ${''.padEnd(width)}  ${(known ? 'source' : 'index says').padEnd(19)}  ${'pulled from target'.padEnd(19)}\n`,
  );
  for (const { platform, expected, pulled, equal } of rows) {
    out.write(
      `   ${platform.padEnd(width)}  ${expected.slice(0, 19)}  ${pulled.slice(0, 19)}  ${equal ? 'equal' : 'DIFFERENT'}\n`,
    );
  }
}

let steps = 0;
function step(text: string): void {
  steps += 1;
  out.write(`\n${steps}. ${text}\n`);
}

function note(text: string): void {
  out.write(`${text.replace(/^/gm, '   ')}\n`);
}

async function main(): Promise<number> {
  try {
    const args = parseArguments(process.argv.slice(2));
    if (args === 'help') {
      out.write(`${USAGE}\n`);
      return 0;
    }
    await demo(args);
    out.write('\nDone: decided, answered, mirrored and verified.\n');
    return 0;
  } catch (error) {
    const text =
      error instanceof DemoError
        ? error.message
        : error instanceof Error
          ? (error.stack ?? error.message)
          : String(error);
    process.stderr.write(`\nThe demo failed: ${text}\n`);
    return 1;
  }
}

process.exitCode = await main();
