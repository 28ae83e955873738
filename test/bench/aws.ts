/**
 * Compares admission while AWS's API does not respond with admission while AWS works, in the same run. Then it counts
 * the calls and requests for a new and for a known image.
 */
import { performance } from 'node:perf_hooks';
import { EcrWorld } from '../fakes/ecr-world.js';
import { buildImage, loadImage } from '../fakes/images.js';
import { printTable, quantile } from './table.js';

const PODS = 400;
/** Images that were never requested before: each needs a target lookup. */
const fresh = (host: string, index: number): string => `${host}/bench/app${index}:1`;

const LIFECYCLE = JSON.stringify({
  rules: [
    {
      rulePriority: 1,
      selection: { tagStatus: 'untagged', countType: 'imageCountMoreThan', countNumber: 9 },
      action: { type: 'expire' },
    },
  ],
});

interface Row {
  readonly name: string;
  readonly sorted: readonly number[];
  readonly late: number;
}

async function admissions(name: string, prepare: (world: EcrWorld) => void): Promise<Row> {
  const world = await EcrWorld.start();
  try {
    prepare(world);
    // Nothing is copied because the sources do not exist. Only the responses matter here.
    const service = await world.serve(world.config({}, { imageCopyPolicy: 'none' }));
    const sorted: number[] = [];
    for (let index = 0; index < PODS; index++) {
      const started = performance.now();
      await world.admit(service, fresh(world.source.host, index));
      sorted.push(performance.now() - started);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    sorted.sort((a, b) => a - b);
    return { name, sorted, late: sorted.filter((milliseconds) => milliseconds > 210).length };
  } finally {
    await world.close();
  }
}

async function calls(): Promise<void> {
  const world = await EcrWorld.start({ control: { roles: [{ arn: 'arn:aws:iam::123456789012:role/mirror' }] } });
  try {
    const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'], layerSize: 100_000 });
    for (const tag of ['1', '2']) loadImage(world.source, 'app', image, tag);
    const policies = { accessPolicy: '{"Version":"2008-10-17","Statement":[]}', lifecyclePolicy: LIFECYCLE };
    const service = await world.serve(
      world.config({ role: 'arn:aws:iam::123456789012:role/mirror', ecrOptions: policies }),
    );
    const rows: (readonly [string, number, number])[] = [];
    for (const [name, tag] of [
      ['a cold image into a new repository', '1'],
      ['another tag of it', '2'],
    ] as const) {
      const before = [world.control.log.length, world.proxy.log.length] as const;
      await world.mirror(service, `${world.source.host}/app:${tag}`);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      rows.push([name, world.control.log.length - (tag === '1' ? 0 : before[0]), world.proxy.log.length - before[1]]);
    }
    printTable(
      ['', 'calls to STS and ECR', 'requests at the registry'],
      rows.map(([name, ...counts]) => [name, ...counts.map(String)]),
    );
  } finally {
    await world.close();
  }
}

const rows = [
  await admissions('AWS in order', () => undefined),
  await admissions('AWS black-holed', ({ control }) => control.fault({ fault: { type: 'hang' } })),
];
printTable(
  [`${PODS} Pods, each with an unknown image`, 'p50 ms', 'p99 ms', 'max ms', 'over 210 ms'],
  rows.map(({ name, sorted, late }) => [
    name,
    quantile(sorted, 0.5),
    quantile(sorted, 0.99),
    sorted.at(-1) ?? 0,
    String(late),
  ]),
);
console.log();
await calls();
