import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { FakeRegistry } from '../../fakes/registry.js';
import { RealRegistry } from '../../fakes/real-registry.js';
import type { ControlPlane } from './control-plane.js';
import { createPods, images } from './crowd.js';
import { Puller } from './puller.js';
import { Replicas } from './replicas.js';

export interface KillPlan {
  readonly images: number;
  /** Seconds from the first kill to the last. */
  readonly seconds: number;
  /** Bytes per second at which the source sends each blob. */
  readonly rate: number;
  readonly layerSize: number;
}

/** Seconds between two kills. */
const EVERY = 5;
/** Milliseconds until the kubelet starts a container again. */
const RESTART = 1_000;

/**
 * Kills one of three replicas with SIGKILL every five seconds while they copy. Every other time it kills the leader,
 * because the loss of a follower loses no work. A killed replica alternately returns in the same Pod or in a new one.
 */
export async function killReplicas(plane: ControlPlane, options: KillPlan): Promise<string> {
  const [source, target] = [await FakeRegistry.start(), await RealRegistry.start()];
  const { images: count, seconds, rate, layerSize } = options;
  const wanted = images(source, source.host, 'killed', count, { layerSize });
  source.fault({ method: 'GET', path: '/blobs/', action: { type: 'slow', bytesPerSecond: rate } });
  const replicas = await Replicas.start(plane, 3, { source: source.host, target: target.host });
  const puller = new Puller(
    target.host,
    wanted.map(({ repository }) => repository),
  );
  try {
    puller.start();
    await createPods(
      plane.api,
      wanted.map(({ reference }) => reference),
    );
    let kills = 0;
    let inFlight = 0;
    let leadersKilled = 0;
    for (let second = EVERY; second <= seconds; second += EVERY) {
      await sleep(EVERY * 1_000 - RESTART);
      const random = replicas.running[Math.floor(Math.random() * replicas.running.length)];
      const leader = await replicas.leader();
      const victim = kills % 2 === 0 || random === undefined ? leader : random;
      leadersKilled += victim === leader ? 1 : 0;
      inFlight += puller.pulled.size < count ? 1 : 0;
      await replicas.kill(victim);
      kills += 1;
      await sleep(RESTART);
      await replicas.add(kills % 4 < 2 ? victim.pod : undefined);
    }
    await puller.complete(120, () => replicas.lastLogLines());
    expect(puller.broken).toEqual([]);
    expect(wanted.map(({ repository }) => puller.pulled.get(repository))).toEqual(wanted.map(({ digest }) => digest));
    const uploads = blobUploads(target);
    // A restarted copy sends its small blobs again without checking for them (docs/decisions/0012-new-repositories.md).
    expect([...uploads].filter(([, times]) => times > 1 + leadersKilled)).toEqual([]);
    // Most kills must interrupt copies, because a run whose copies are already complete proves nothing.
    expect(inFlight).toBeGreaterThan(kills / 2);
    const again = [...uploads].filter(([, times]) => times > 1).length;
    const begun = target.accessLog().filter(({ method, status }) => method === 'POST' && status === 202).length;
    return `${kills} kills, ${inFlight} amid copies; ${uploads.size} blobs, ${begun} uploads begun, ${again} blobs more than once`;
  } finally {
    await puller.stop();
    await replicas.stop();
    await Promise.all([source.close(), target.stop()]);
  }
}

/** Returns finished uploads by repository and digest from the registry's log. */
function blobUploads(registry: RealRegistry): Map<string, number> {
  const uploads = new Map<string, number>();
  for (const { method, path, status } of registry.accessLog()) {
    const [, repository, digest] = /^\/v2\/(.+)\/blobs\/uploads\/.*[?&]digest=([^&]+)/.exec(path) ?? [];
    if (digest === undefined || status !== 201 || (method !== 'PUT' && method !== 'POST')) continue;
    const key = `${repository} ${decodeURIComponent(digest)}`;
    uploads.set(key, (uploads.get(key) ?? 0) + 1);
  }
  return uploads;
}
