import type { FakeRegistry } from './registry.js';

/** How long a manifest takes, in milliseconds, so that requests overlap. */
const MANIFEST_MS = 60;

/**
 * Gives a registry a budget of pulls, as Docker Hub has one for an account: every response for a manifest reports what
 * is left, and a GET above it gets a 429. A pull counts only until its response, as if the window moved on.
 *
 * @param isHeld whether responses wait for the first rejected GET
 * @returns the number of rejected GETs so far
 */
export function limitPulls(registry: FakeRegistry, pulls: number, isHeld = false): () => number {
  let left = pulls;
  let onRefusal = (): void => undefined;
  const firstRefusal = new Promise<void>((resolve) => (onRefusal = resolve));
  let refused = 0;
  const reported = { type: 'header', name: 'ratelimit-remaining' } as const;
  registry.fault({
    method: 'HEAD',
    path: '/manifests/',
    action: () => ({ ...reported, value: `${left};w=21600` }),
  });
  registry.fault({
    method: 'GET',
    path: '/manifests/',
    action: () => {
      if (left === 0) {
        refused += 1;
        onRefusal();
        return { type: 'status', status: 429, headers: { 'ratelimit-remaining': '0;w=21600' } };
      }
      left -= 1;
      return {
        ...reported,
        value: `${left};w=21600`,
        delay: isHeld ? firstRefusal : MANIFEST_MS,
        onSent: () => (left += 1),
      };
    },
  });
  return () => refused;
}
