import { READER_ROLE } from './repository-api.js';
import type { IamPolicy } from './repository-api.js';

/** The members that may not pull according to the policy; bindings with a condition do not count. */
export function missingReaders(policy: IamPolicy, readers: readonly string[]): readonly string[] {
  const members = new Set(
    (policy.bindings ?? [])
      .filter(({ role, condition }) => role === READER_ROLE && (condition ?? undefined) === undefined)
      .flatMap((binding) => binding.members ?? []),
  );
  return readers.filter((reader) => !members.has(reader));
}

/** The policy with the members added; everything else in it, including its etag, stays. */
export function withReaders(policy: IamPolicy, added: readonly string[]): IamPolicy {
  const bindings = policy.bindings ?? [];
  const own = bindings.find(({ role, condition }) => role === READER_ROLE && (condition ?? undefined) === undefined);
  const others = bindings.filter((binding) => binding !== own);
  return { ...policy, bindings: [...others, { role: READER_ROLE, members: [...(own?.members ?? []), ...added] }] };
}
