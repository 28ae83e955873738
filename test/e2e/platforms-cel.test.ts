import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { missingPlatform, namedPlatforms } from '../../extension-service/src/core/decide/named-platforms.js';
import {
  missesPlatform,
  PLATFORM_VARIABLES,
} from '../../extension-service/src/core/engines/mutating-admission-policy/platforms.js';
import { evaluateCel } from '../tools/cel.js';
import { goToolsAvailable } from '../tools/tool.js';

const available = await goToolsAvailable("a Pod's platforms in CEL");
const SEED = Number(process.env['PLATFORMS_SEED'] ?? Date.now() % 2 ** 31);

const label = fc.constantFrom(
  'kubernetes.io/os',
  'beta.kubernetes.io/os',
  'kubernetes.io/arch',
  'beta.kubernetes.io/arch',
  'disk',
);
const value = fc.constantFrom('linux', 'windows', 'amd64', 'arm64', '');
const requirement = fc.record(
  {
    key: label,
    operator: fc.constantFrom('In', 'NotIn', 'Exists', 'Gt'),
    values: fc.array(value, { maxLength: 2 }),
  },
  { requiredKeys: ['key', 'operator'] },
);
const term = fc.record({ matchExpressions: fc.array(requirement, { maxLength: 2 }) }, { requiredKeys: [] });
const required = fc.record({ nodeSelectorTerms: fc.array(term, { maxLength: 2 }) });
/** The parts of a Pod's `spec` that name platforms, each of which may be missing. */
const spec = fc.record(
  {
    os: fc.record({ name: fc.constantFrom('linux', 'windows') }),
    nodeSelector: fc.dictionary(label, value, { maxKeys: 2 }),
    affinity: fc.record(
      {
        nodeAffinity: fc.record({ requiredDuringSchedulingIgnoredDuringExecution: required }, { requiredKeys: [] }),
        podAntiAffinity: fc.constant({}),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [] },
);
describe.skipIf(!available)("a Pod's platforms in CEL", () => {
  it.each([[['linux/amd64']], [['linux/amd64', 'linux/arm64/v8']], [['windows/amd64', 'linux/arm64']]])(
    'are missing in a mirror of %j exactly where the service says so',
    async (platforms) => {
      const objects = fc.sample(spec, { numRuns: 1_000, seed: SEED }).map((one) => ({ spec: one }));
      // One expression for all Pods, because compiling takes most of the time.
      const expression = `objects.map(object, ${inlined(missesPlatform(platforms))})`;
      const [answer] = await evaluateCel([{ expression, variables: { objects } }]);
      expect(answer?.error).toBeUndefined();
      const found = answer?.value as readonly boolean[];
      const expected = objects.map((object) => {
        const named = namedPlatforms(object);
        return named !== undefined && missingPlatform(named, platforms) !== undefined;
      });
      const differences = objects.filter((_, i) => found[i] !== expected[i]);
      expect(differences.slice(0, 3), `PLATFORMS_SEED=${SEED} repeats this`).toEqual([]);
      expect(expected.filter(Boolean).length).toBeGreaterThan(50);
      expect(expected.filter((isMissing) => !isMissing).length).toBeGreaterThan(50);
    },
  );
});

/** The expression with the policy's variables in their places. */
function inlined(expression: string): string {
  return [...PLATFORM_VARIABLES]
    .reverse()
    .reduce((text, variable) => text.replaceAll(`variables.${variable.name}`, `(${variable.expression})`), expression);
}
