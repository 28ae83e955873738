import { afterAll, describe, expect, it } from 'vitest';
import { observeCoreRows } from '../e2e/cluster/core-rows.js';
import { ENGINES } from '../e2e/cluster/engines.js';
import type { Engine } from '../e2e/cluster/engines.js';
import { DocumentedTable, markdownTable, Outcomes } from '../e2e/cluster/outcomes.js';
import {
  observeVerification,
  VERIFICATION_HEAD,
  VERIFICATION_TABLE,
  verificationLines,
} from '../e2e/cluster/verification.js';
import { FORMER_KUBERNETES, GATEKEEPER, KUBERNETES, KYVERNO, OLDEST_KYVERNO } from '../e2e/cluster/versions.js';
import { World } from '../e2e/cluster/world.js';
import type { WorldVersions } from '../e2e/cluster/world.js';
import { goToolsAvailable } from '../tools/tool.js';

/**
 * The core rows of docs/engines.md with other versions than those of CI. `WRITE_OUTCOMES=1` writes the results into the
 * tables of docs/engines.md and docs/kyverno.md; with `-t VERSION`, it writes only the lines of that version.
 */
const available = await goToolsAvailable('the matrix of versions');
const WRITE = process.env['WRITE_OUTCOMES'] !== undefined;
const TABLE = new DocumentedTable('docs/engines.md', 'versions');
const HEAD = ['seen on', 'Kubernetes', 'Kyverno', 'Gatekeeper', ...ENGINES.map(({ name }) => name)];
const VERSIONS: readonly Required<Pick<WorldVersions, 'kubernetes' | 'kyverno'>>[] = [
  { kubernetes: '1.36.3', kyverno: '1.19.1' },
  { kubernetes: '1.35.4', kyverno: '1.19.1' },
  { kubernetes: '1.28.15', kyverno: '1.19.1' },
  { kubernetes: KUBERNETES, kyverno: '1.18.2' },
  { kubernetes: KUBERNETES, kyverno: '1.17.2' },
  { kubernetes: KUBERNETES, kyverno: OLDEST_KYVERNO },
];
/** Columns that name the versions of a line. */
const VERSION_CELLS = [1, 4] as const;

describe.skipIf(!available)('the policies with other versions', () => {
  const lines: string[][] = [];
  afterAll(async () => {
    if (!WRITE || lines.length === 0) return;
    const versionsOf = (line: readonly string[]): string => line.slice(...VERSION_CELLS).join(' ');
    const [, ...before] = await TABLE.lines();
    const all = new Map([...before, ...lines].map((line) => [versionsOf(line), line]));
    await TABLE.write(await markdownTable([HEAD, ...all.values()]));
  });

  it.each(VERSIONS)('Kubernetes $kubernetes, Kyverno $kyverno', async (versions) => {
    const today = new Date().toISOString().slice(0, 10);
    const line = [today, versions.kubernetes, versions.kyverno, GATEKEEPER];
    const world = await World.start({ ...versions, incomplete: true });
    try {
      for (const engine of ENGINES) line.push(await outcomeOf(world, engine));
    } finally {
      await world.stop();
    }
    process.stdout.write(`${line.join(' | ')}\n`);
    lines.push(line);
    if (WRITE) return;
    const [, ...documented] = await TABLE.lines();
    expect(documented.map((cells) => cells.slice(1))).toContainEqual(line.slice(1));
  });

  it(`policies that verify signatures, with Kyverno ${KYVERNO}`, async () => {
    const world = await World.start({ kubernetes: FORMER_KUBERNETES });
    try {
      const engines = ENGINES.filter(({ name }) => /MutatingPolicy, http$|ClusterPolicy/.test(name));
      const table = await markdownTable([
        VERIFICATION_HEAD,
        ...verificationLines(await observeVerification(world, engines)),
      ]);
      process.stdout.write(`${table}\n`);
      if (WRITE) await VERIFICATION_TABLE.write(table);
      expect(await VERIFICATION_TABLE.text()).toBe(table);
    } finally {
      await world.stop();
    }
  });
});

/** Returns the differences between this engine and docs/engines.md. */
async function outcomeOf(world: World, engine: Engine): Promise<string> {
  const missing = world.missing[engine.name.startsWith('Kyverno') ? 'kyverno' : engine.route];
  if (missing !== undefined) return `does not start: ${firstLine(missing)}`;
  const documented = await Outcomes.documented(engine.name);
  try {
    const seen = Object.entries(await observeCoreRows(world, engine));
    const different = seen.filter(([row, outcome]) => documented[row] !== outcome);
    return different.length === 0 ? 'as above' : different.map((pair) => pair.join(': ')).join('; ');
  } catch (error) {
    return `not usable: ${firstLine((error as Error).message)}`;
  }
}

function firstLine(message: string): string {
  return (message.split('\n')[0] ?? '').replaceAll('|', '\\|').slice(0, 80).trimEnd();
}
