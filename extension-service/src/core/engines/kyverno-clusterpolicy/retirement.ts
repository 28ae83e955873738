import type { EngineVersion, Retirement } from '../engine.js';

/** From this version on, Kyverno rejects creating or changing a ClusterPolicy. */
const FIRST_REJECTING_VERSION: EngineVersion = [1, 20];
/** From this version on, Kyverno has the MutatingPolicy that the engine `kyverno` needs. */
const FIRST_MUTATING_POLICY_VERSION: EngineVersion = [1, 18];

const SUMMARY =
  'Kyverno 1.20 refuses to create or change a ClusterPolicy, and its chart refuses the upgrade to 1.20 while one exists';
const MIGRATION_ADVICE =
  'set policies.engine: kyverno, then delete the ClusterPolicy (docs/kyverno.md#from-clusterpolicy-to-mutatingpolicy)';

/** ClusterPolicy is deprecated in favor of MutatingPolicy. */
export const clusterPolicyRetirement: Retirement = {
  summary: SUMMARY,
  judge(version) {
    if (version === undefined) return { isRefused: false, message: `${SUMMARY}: before that, ${MIGRATION_ADVICE}` };
    const found = `this cluster has Kyverno ${version.join('.')}`;
    if (isBefore(version, FIRST_MUTATING_POLICY_VERSION)) {
      return { isRefused: false, message: `${SUMMARY}; ${found}: upgrade it to 1.19, then ${MIGRATION_ADVICE}` };
    }
    if (isBefore(version, FIRST_REJECTING_VERSION)) {
      return { isRefused: false, message: `${SUMMARY}; ${found}: before you upgrade it, ${MIGRATION_ADVICE}` };
    }
    const refusal = 'which refuses to create or change a ClusterPolicy; an existing ClusterPolicy stays unchanged';
    return { isRefused: true, message: `${found}, ${refusal}: ${MIGRATION_ADVICE}` };
  },
};

/** The version in the tag of Kyverno's image, such as `kyverno:v1.19.1`; undefined for other kinds of tags. */
export function kyvernoVersionOf(image: string): EngineVersion | undefined {
  const match = /:v?(\d{1,4})\.(\d{1,4})\.\d{1,4}(?:[-+.][0-9A-Za-z.+-]*)?(?:@|$)/.exec(image);
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}

function isBefore([major, minor]: EngineVersion, [otherMajor, otherMinor]: EngineVersion): boolean {
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}
