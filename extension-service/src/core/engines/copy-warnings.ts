import type { Engine } from './engine.js';
import { waitsForCopy } from './waiting.js';

interface CopyPolicies {
  readonly imageCopyPolicy?: string | undefined;
  readonly targets?: readonly { readonly imageCopyPolicy?: string | undefined }[] | undefined;
  readonly target?: { readonly imageCopyPolicy?: string | undefined } | null | undefined;
}

/** For each copy policy that makes requests of other engines wait: its path, and its effect here. */
export function copyWarnings(
  { name, decides }: Pick<Engine, 'name' | 'decides'>,
  { imageCopyPolicy, targets = [], target }: CopyPolicies,
): readonly string[] {
  if (decides.startsCopies) return [];
  const written: readonly (readonly [string, string | undefined])[] = [
    ['imageCopyPolicy', imageCopyPolicy],
    ...targets.map((one, index) => [`targets[${index}].imageCopyPolicy`, one.imageCopyPolicy] as const),
    ['target.imageCopyPolicy', target?.imageCopyPolicy],
  ];
  return written
    .filter(([, policy]) => policy !== undefined && waitsForCopy(policy))
    .map(
      ([option, policy]) =>
        `${option}: ${policy} does not wait for copies with ${name}, whose requests start no copy; it works like delayed. Set ` +
        'delayed, or use another engine (kyverno, webhook).',
    );
}
