/** Public registries that most images come from; their names are labels of metrics even where nothing is configured. */
const PUBLIC_REGISTRIES: readonly string[] = [
  'docker.io',
  'gcr.io',
  'ghcr.io',
  'mcr.microsoft.com',
  'public.ecr.aws',
  'quay.io',
  'registry.gitlab.com',
  'registry.k8s.io',
];

/** What metrics call a registry: Pods may name any number of them, so that most are `other`. */
export function registryLabels(configured: Iterable<string>): (host: string) => string {
  const named = new Set([...PUBLIC_REGISTRIES, ...configured]);
  return (host) => (named.has(host) ? host : 'other');
}
