const SECRET =
  /pass|pwd|token|secret|credential|key|auth|private|cookie|session|dsn|signature|last-applied-configuration/i;

/** Kubernetes' own names that sound like secrets and only say where one is, or have nothing to do with any. */
const HARMLESS: ReadonlySet<string> = new Set([
  'key',
  'topologyKey',
  'imagePullSecrets',
  'secretName',
  'secretRef',
  'secretKeyRef',
  'configMapKeyRef',
  'matchLabelKeys',
  'mismatchLabelKeys',
  'automountServiceAccountToken',
  'serviceAccountToken',
]);

/** Whether what has this name is probably secret. */
export function namesSecret(name: string): boolean {
  return SECRET.test(name) && !HARMLESS.has(name);
}

/** Hides passwords inside of texts: `--token=x`, `PASSWORD: x`, `postgres://user:x@host`. */
export function maskText(text: string): string {
  return text
    .replace(/(:\/\/[^\s/:@]{0,200}:)[^\s/@]+@/g, '$1(hidden)@')
    .replace(
      /((?:pass|pwd|token|secret|credential|key|auth)[\w.-]{0,40}["']?\s{0,3}[=:]\s{0,3}["']?)[^\s"',;]+/gi,
      '$1(hidden)',
    );
}
