const SECRET =
  /pass|pwd|token|secret|credential|key|auth|private|cookie|session|dsn|signature|last-applied-configuration/i;

/** Kubernetes' own names that sound like secrets but only refer to one, or have nothing to do with secrets. */
const NOT_SECRET_NAMES: ReadonlySet<string> = new Set([
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

/** Whether a field with this name is probably secret. */
export function namesSecret(name: string): boolean {
  return SECRET.test(name) && !NOT_SECRET_NAMES.has(name);
}

/** Hides passwords inside texts: `--token=x`, `PASSWORD: x`, `postgres://user:x@host`. */
export function maskText(text: string): string {
  return text
    .replace(/(:\/\/[^\s/:@]{0,200}:)[^\s/@]+@/g, '$1(hidden)@')
    .replace(
      /((?:pass|pwd|token|secret|credential|key|auth)[\w.-]{0,40}["']?\s{0,3}[=:]\s{0,3}["']?)[^\s"',;]+/gi,
      '$1(hidden)',
    );
}
