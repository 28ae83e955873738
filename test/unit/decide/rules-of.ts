import type { Config, TargetConfig } from '../../../extension-service/src/core/config/model.js';
import { compileRules } from '../../../extension-service/src/core/decide/rules.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import type { Rules } from '../../../extension-service/src/core/decide/rules.js';

export function ociTarget(
  registry: string,
  more: Partial<TargetConfig> & { readonly prefix?: string } = {},
): TargetConfig {
  const { prefix = '', ...options } = more;
  return { name: 'default', ...options, type: 'oci', oci: { registry, prefix, insecure: false } };
}

/** A complete configuration with the documented defaults. */
export function configOf(more: Partial<Config> = {}): Config {
  return {
    dryRun: false,
    logLevel: 'info',
    logFormat: 'json',
    imageSwapPolicy: 'exists',
    imageCopyPolicy: 'delayed',
    imageCopyDeadline: 8_000,
    imageCopyFailure: 'ignore',
    answerBudget: 200,
    source: {
      filters: [],
      registries: [],
      allow: [],
      deny: [],
      accessCheck: 'none',
      directTarget: 'keep',
      volumes: true,
      operators: [],
    },
    pods: { annotate: false },
    target: ociTarget('mirror.test'),
    targets: [],
    mirror: {
      concurrency: 4,
      platforms: 'all',
      referrers: true,
      refresh: { interval: 3_600_000 },
      audit: { interval: 86_400_000 },
    },
    queue: { type: 'memory', prefix: 'image_swapper', sentinels: [] },
    gc: { enabled: false, after: 2_592_000_000, clusters: [], deletePlatforms: 'auto' },
    reconcile: { enabled: true, interval: 600_000 },
    secretReader: { enabled: true, secretNames: [] },
    lease: { name: 'image-swapper' },
    events: { enabled: true },
    tls: {
      mode: 'files',
      secretName: 'image-swapper-tls',
      configMapName: 'image-swapper-ca',
      dnsNames: [],
      clients: {},
    },
    server: {},
    auth: {
      kyverno: {
        secretNamespace: 'kyverno',
        token: false,
        tokenRequired: true,
        audience: 'kyverno-svc.kyverno.io',
        serviceAccounts: ['kyverno/kyverno-admission-controller'],
      },
      webhook: {},
      explain: {},
    },
    policies: {
      manage: false,
      engine: 'kyverno',
      undecidable: 'refuse',
      table: false,
      name: 'image-swapper',
      failClosed: false,
      excludedNamespaces: [],
    },
    ...more,
  };
}

export function rulesOf(more: Partial<Config> = {}, ...filters: string[]): Rules {
  const config = configOf(more);
  const source = { ...config.source, filters: filters.map((jmespath) => ({ jmespath })) };
  return compileRules({ ...config, source }, namingTarget);
}
