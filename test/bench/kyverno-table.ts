/**
 * Measures the additional time to create a Pod with Kyverno's table of 5,000 and 20,000 images (`policies.table`), beside
 * the same engine without a table, whose every Pod calls the built service. The sides alternate at 20 Pods per second in
 * total. `npx tsx test/bench/kyverno-table.ts [seconds]`
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { kyverno } from '../../extension-service/src/core/engines/kyverno/engine.js';
import { tableDefinition } from '../../extension-service/src/core/engines/kyverno-table/objects.js';
import { TablePages } from '../../extension-service/src/core/engines/kyverno-table/pages.js';
import { staticTargets } from '../../extension-service/src/core/engines/mutating-admission-policy/static-target.js';
import { imageTable } from '../../extension-service/src/core/engines/mutating-admission-policy/image-table.js';
import { parseReference } from '../../extension-service/src/core/image/reference.js';
import { targetReference } from '../../extension-service/src/core/naming/name.js';
import type { ApiObject } from '../e2e/cluster/kube-api.js';
import { FILTERS, World } from '../e2e/cluster/world.js';
import { pacedPods, PODS_PER_SECOND } from './paced-pods.js';
import { printTable, quantile } from './table.js';

/** Images in the table of each side; undefined for a policy without a table. */
const SIDES = { none: undefined, service: undefined, 'table-5000': 5_000, 'table-20000': 20_000 } as const;
type Side = keyof typeof SIDES;
const NAMES = Object.keys(SIDES) as readonly Side[];

export async function run(seconds = 60): Promise<void> {
  const cwd = fileURLToPath(new URL('../../extension-service/', import.meta.url));
  execFileSync(process.execPath, ['build.mjs'], { cwd, stdio: 'inherit' });
  const world = await World.start();
  try {
    const images = await world.mirroredImages(4);
    for (const object of tableDefinition()) await world.plane.api.apply(object as unknown as ApiObject);
    const sides = NAMES.map((name) => ({ name, policies: policies(world, name, images) }));
    const before = await world.requests('kyverno');
    const latencies = await pacedPods(world, sides, images, seconds);
    const calls = (await world.requests('kyverno')) - before;
    const p50 = (name: Side): number => quantile(latencies.get(name) ?? [], 0.5);
    const none = p50('none');
    console.log(`${PODS_PER_SECOND} Pods a second, 4 containers each, ${seconds} s; milliseconds`);
    printTable(
      ['', 'p50', 'adds', 'to the service', 'p99'],
      NAMES.map((name) => {
        const adds = p50(name) - none;
        return [name, p50(name), adds, adds / (p50('service') - none), quantile(latencies.get(name) ?? [], 0.99)];
      }),
    );
    console.log(`calls of the service: ${calls} for ${latencies.get('service')?.length ?? 0} Pods of its side`);
  } finally {
    await world.stop();
  }
}

function policies(world: World, side: Side, images: readonly string[]): readonly ApiObject[] {
  if (side === 'none') return [];
  const size = SIDES[side];
  const targets = staticTargets([world.prefix]).map((one) => ({ ...one, swapPolicy: 'exists' as const }));
  const engine = size === undefined ? kyverno : (kyverno.withTable ?? kyverno);
  const empty = imageTable([], new Map());
  const objects = engine.render({
    name: `bench-${side}`,
    targets: [world.prefix],
    filters: FILTERS,
    failClosed: true,
    managed: true,
    excludedNamespaces: NAMES.filter((other) => other !== side).map((other) => `bench-${other}`),
    call: { url: `http://127.0.0.1:${world.ports.http}` },
    decided: {
      ...{ targets, publicOnly: false, dryRun: false },
      ...(size !== undefined && {
        tables: { large: empty, recent: empty, objects: { pages: pagesOf(targets, size, images), reload: '' } },
      }),
    },
  });
  return objects as unknown as readonly ApiObject[];
}

function pagesOf(targets: ReturnType<typeof staticTargets>, size: number, images: readonly string[]) {
  const naming = targets[0]?.naming;
  if (naming === undefined) throw new Error('no target');
  const others = Array.from(
    { length: size - images.length },
    (_, i) => `registry${i % 7}.example.com/team-${i % 97}/service-${i % 1999}:1.${i}.0`,
  );
  // The images that Pods use are in the last objects.
  const entries = [...others, ...images].map((written) => {
    const source = parseReference(written);
    const { registry, repository, text } = targetReference(naming, source);
    return { source, target: naming.name, registry, repository, text };
  });
  return new TablePages().fit(entries, naming.name).pages;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [seconds] = process.argv.slice(2);
  await run(seconds === undefined ? undefined : Number(seconds));
}
