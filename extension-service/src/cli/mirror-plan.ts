import type { Config } from '../core/config/model.js';
import { CopyFailedError, mayBeCredentials } from '../registry/copy-failure.js';
import { RegistryCopier } from '../mirror/registry-copier.js';
import { sourceHost } from '../core/decide/mirror-job.js';
import { Limiter } from '../registry/limiter.js';
import type { CopyPlan } from '../registry/plan.js';
import type { CommandContext } from './context.js';
import { registryOptions } from './context.js';
import { attempts, refusedRow, rowOf, summary } from './mirror-rows.js';
import type { MirrorRow, Planned, PlannedCopy } from './mirror-rows.js';
import type { MirrorOutput } from './mirror-output.js';
import { bytes, render, table } from './output.js';

/** Maximum number of bytes that all images together would send to a target, including layers that it already has. */
interface TargetPlan {
  readonly target: string;
  readonly images: number;
  /** Platforms of multi-platform images. */
  readonly platforms: readonly string[];
  readonly manifests: number;
  readonly blobs: number;
  readonly bytes: number;
  readonly requests: number;
  /** Minimum time that the registry's quotas allow. */
  readonly seconds?: number;
  readonly limitedBy?: string;
}

/** Number of pulls that all images together would cost at a source. */
interface SourcePlan {
  readonly registry: string;
  /** Manifests of single platforms, which Docker Hub counts; without signatures and other referrers. */
  readonly pulls: number;
}

/** Shows what mirroring would send and how long it takes under the quotas; reads manifests, sends nothing. */
export async function planMirror(
  context: CommandContext,
  config: Config,
  planned: readonly Planned[],
  { output, layout, complete }: MirrorOutput,
): Promise<readonly MirrorRow[]> {
  const copier = new RegistryCopier(config, {
    ...registryOptions(context, config, (problem) => context.stderr.write(`warn: ${problem}\n`)),
    ...(layout !== undefined && { layout }),
    ...(complete !== undefined && { earlier: { images: complete.images, interval: config.mirror.audit.interval } }),
  });
  const limiter = new Limiter(config.mirror.concurrency);
  const totals = new Map<string, PlanTotal>();
  const pulls = new Map<string, number>();
  const rows = await Promise.all(
    planned.map(async (entry): Promise<MirrorRow> => {
      if ('row' in entry) return entry.row;
      const { job } = entry;
      try {
        const plan = await limiter.run(() => planImageCopy(copier, entry));
        const { digest } = plan;
        if (plan.present) return { ...rowOf(entry), state: 'up-to-date', detail: 'already in the target', digest };
        add(totals, job.target, job.reference.repository, plan);
        const registry = sourceHost(job);
        pulls.set(registry, (pulls.get(registry) ?? 0) + plan.pulls);
        return { ...rowOf(entry), state: 'would-mirror', detail: describe(plan), digest };
      } catch (error) {
        if (!(error instanceof CopyFailedError)) throw error;
        return refusedRow(entry, error.failure);
      }
    }),
  );
  const targets = [...totals].map(([target, total]) => targetPlan(copier, target, total));
  const sources = [...pulls].map(([registry, count]): SourcePlan => ({ registry, pulls: count }));
  copier.close();
  context.stdout.write(
    render({ images: rows, targets, sources }, output, () =>
      [
        summary(rows),
        ...(targets.length === 0 ? [] : ['', table(targets.map(lineOf))]),
        ...(sources.length === 0 ? [] : [table(sources.map(pullsOf))]),
      ].join('\n'),
    ),
  );
  return rows;
}

const HEAD_TIMEOUT_MS = 60_000;

async function planImageCopy(copier: RegistryCopier, entry: PlannedCopy): Promise<CopyPlan> {
  const [first = entry.job, ...others] = attempts(entry);
  try {
    return await copier.plan(first, AbortSignal.timeout(HEAD_TIMEOUT_MS));
  } catch (error) {
    if (!(error instanceof CopyFailedError) || !mayBeCredentials(error.failure)) throw error;
    for (const job of others) {
      try {
        return await copier.plan(job, AbortSignal.timeout(HEAD_TIMEOUT_MS));
      } catch (next) {
        if (!(next instanceof CopyFailedError) || !mayBeCredentials(next.failure)) throw next;
      }
    }
    throw error;
  }
}

interface PlanTotal {
  images: number;
  readonly platforms: Set<string>;
  /** By repository and digest: each is pushed once. */
  readonly manifests: Set<string>;
  /** Each is uploaded once; another repository of the registry mounts it, if the registry supports that. */
  readonly blobs: Map<string, number>;
}

function add(totals: Map<string, PlanTotal>, target: string, repository: string, plan: CopyPlan): void {
  let total = totals.get(target);
  if (total === undefined) {
    total = { images: 0, platforms: new Set(), manifests: new Set(), blobs: new Map() };
    totals.set(target, total);
  }
  total.images += 1;
  for (const platform of plan.platforms) total.platforms.add(platform);
  for (const digest of plan.manifests.keys()) total.manifests.add(`${repository}@${digest}`);
  for (const [digest, size] of plan.blobs) total.blobs.set(digest, size);
}

function targetPlan(
  copier: RegistryCopier,
  target: string,
  { images, platforms, manifests, blobs }: PlanTotal,
): TargetPlan {
  const requests = { manifests: manifests.size, blobs: blobs.size };
  const estimate = copier.estimate(target, requests);
  return {
    target,
    images,
    platforms: [...platforms].sort(),
    ...requests,
    bytes: sumOf(blobs.values()),
    // A HEAD, a POST and a PUT for each blob, a HEAD and a PUT for each manifest.
    requests: 3 * blobs.size + 2 * manifests.size,
    ...(estimate !== undefined && {
      seconds: Math.round(estimate.milliseconds / 100) / 10,
      limitedBy: estimate.limitedBy,
    }),
  };
}

function describe({ platforms, manifests, blobs }: CopyPlan): string {
  const count = platforms.length === 0 ? '' : `${counted(platforms.length, 'platform')}, `;
  return `${count}${counted(manifests.size, 'manifest')}, ${counted(blobs.size, 'blob')}, at most ${bytes(sumOf(blobs.values()))}`;
}

function lineOf({
  target,
  images,
  platforms,
  manifests,
  blobs,
  bytes: size,
  requests,
  seconds,
  limitedBy,
}: TargetPlan): string[] {
  const time = seconds === undefined ? '' : `at least ${seconds} s, limited by ${limitedBy ?? ''}`;
  return [
    `target ${target}:`,
    counted(images, 'image'),
    counted(platforms.length, 'platform'),
    counted(manifests, 'manifest'),
    counted(blobs, 'blob'),
    `at most ${bytes(size)}`,
    counted(requests, 'request'),
    time,
  ];
}

function pullsOf({ registry, pulls }: SourcePlan): string[] {
  const note =
    registry === 'docker.io' ? 'Docker Hub counts the manifest of each platform; this plan cost as many' : '';
  return [`source ${registry}:`, counted(pulls, 'pull'), note];
}

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}

function sumOf(sizes: Iterable<number>): number {
  let sum = 0;
  for (const size of sizes) sum += size;
  return sum;
}
