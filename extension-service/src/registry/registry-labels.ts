/** Public registries that most images come from; metrics use their names as labels even if they are not configured. */
const PUBLIC_REGISTRIES: readonly string[] = [
  'docker.io',
  'ecr-public.aws.com',
  'gcr.io',
  'ghcr.io',
  'mcr.microsoft.com',
  'public.ecr.aws',
  'quay.io',
  'registry.gitlab.com',
  'registry.k8s.io',
];

/** The label of a registry in metrics: Pods may name any number of registries, so most are `other`. */
export function registryLabels(configured: Iterable<string>): (host: string) => string {
  const named = new Set([...PUBLIC_REGISTRIES, ...configured]);
  return (host) => (named.has(host) ? host : 'other');
}
