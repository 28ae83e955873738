import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { BUNDLE } from '../fakes/service.js';
import { goToolsAvailable } from '../tools/tool.js';
import { Containerd } from './containerd.js';
import { outcomeTable, type Outcome, type Row } from './outcomes.js';
import { missing, push, RefusedError } from './registry-client.js';
import { REGISTRY_KINDS, targetsOf } from './registry-kinds.js';
import { OWNER, type RegistryKind, type StartedRegistry } from './registry-process.js';
import { repositoryOf, SHAPES, UPLOAD_CHUNK, type Shape } from './shapes.js';

/**
 * The built bundle's `mirror` copies every shape from every registry to every registry. The test reads the copies byte
 * for byte over plain HTTP. For the first source registry, containerd also fetches from both registries. The table of
 * docs/registries.md has the results of this run: `WRITE_REGISTRIES=1 npx vitest run --project matrix` writes it.
 */
const PAGE = fileURLToPath(new URL('../../docs/registries.md', import.meta.url));
const [BEGIN, END] = ['<!-- matrix: begin -->\n', '<!-- matrix: end -->'];
const available = await goToolsAvailable('the matrix of real registries');
/**
 * A file with the rows of earlier runs. With it, pairs can run one by one (`-t`), and the last run writes the table.
 */
const KEPT = process.env['MATRIX_ROWS'];
/** Shapes to copy, by name. */
const ONLY = new RegExp(process.env['MATRIX_SHAPES'] ?? '');
/** Maximum number of blobs of a shape. A slow registry needs many minutes for more. */
const MAX_SLOW_BLOBS = 50;
const rows: Row[] = [];

function shapesOf(...kinds: readonly RegistryKind[]): readonly Shape[] {
  const isSlow = kinds.some((kind) => kind.isSlow === true);
  return SHAPES.filter(({ name, blobs }) => ONLY.test(name) && (!isSlow || blobs.size <= MAX_SLOW_BLOBS));
}

/** The rows of this run and, if there is such a file, of earlier runs. */
async function allRows(): Promise<readonly Row[]> {
  const kept =
    KEPT === undefined
      ? []
      : await readFile(KEPT, 'utf8').then(
          (text) => JSON.parse(text) as Row[],
          () => [],
        );
  const all = [...kept, ...rows].map((row) => [`${row.shape} ${row.source} ${row.target}`, row] as const);
  const order = SHAPES.map(({ name }) => name);
  const merged = [...new Map(all).values()].sort((one, other) => order.indexOf(one.shape) - order.indexOf(other.shape));
  if (KEPT !== undefined) await writeFile(KEPT, JSON.stringify(merged));
  return merged;
}

let folder: string;
let containerd: Containerd;

beforeAll(async () => {
  if (!available) return;
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-matrix-'));
  containerd = await Containerd.start();
});

afterAll(async () => {
  if (!available) return;
  await containerd.stop();
  await rm(folder, { recursive: true, force: true });
});

describe.skipIf(!available)('every shape that registries store', () => {
  describe.each(REGISTRY_KINDS)('from $name', (from) => {
    let source: StartedRegistry;
    const refusedAtSource = new Map<string, string>();
    const fetchedAtSource = new Map<string, unknown>();

    beforeAll(async () => {
      source = await from.start();
      for (const shape of shapesOf(from)) {
        const why = await refusalOf(source, sourceRepository(shape), shape);
        if (why !== undefined) refusedAtSource.set(shape.name, `${from.name}: ${shape.name}: ${why}`);
        else if (from.name === REGISTRY_KINDS[0]?.name)
          fetchedAtSource.set(shape.name, await containerd.fetch(referenceOf(source, shape), source.login));
      }
    });
    afterAll(() => source.stop());

    it.each(targetsOf(from))('arrives in $name as it is, or the refusal names the reason', async (into) => {
      const target = await into.start();
      try {
        const shapes = shapesOf(from, into);
        const stored = shapes.filter(({ name }) => !refusedAtSource.has(name));
        const results = await mirror(source, target, stored);
        for (const shape of shapes) {
          const why = refusedAtSource.get(shape.name);
          const outcome: Outcome =
            why === undefined
              ? await outcomeOf(target, into, shape, results, fetchedAtSource.get(shape.name), source)
              : { kind: 'source', why };
          rows.push({ shape: shape.name, source: from.name, target: into.name, outcome });
        }
        await allRows();
        const faults = rows.filter(
          ({ source: a, target: b, outcome }) => a === from.name && b === into.name && outcome.kind === 'fault',
        );
        expect(faults).toEqual([]);
      } finally {
        await target.stop();
      }
    });
  });

  it('is what docs/registries.md says', async () => {
    const kinds = REGISTRY_KINDS.map(({ name }) => name);
    const page = await readFile(PAGE, 'utf8');
    const [before = '', rest = ''] = page.split(BEGIN);
    const [table = '', after = ''] = rest.split(END);
    const seen = `\n${outcomeTable(await allRows(), kinds)}\n`;
    if (process.env['WRITE_REGISTRIES'] !== undefined) await writeFile(PAGE, `${before}${BEGIN}${seen}${END}${after}`);
    else expect(normalized(table)).toBe(normalized(seen));
  });
});

/** Tables are formatted when they are committed. */
function normalized(table: string): string {
  return table.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---').trim();
}

async function refusalOf(registry: StartedRegistry, repository: string, shape: Shape): Promise<string | undefined> {
  try {
    await push(registry, repository, shape);
  } catch (error) {
    if (error instanceof RefusedError) return `answers ${error.message}`;
    throw error;
  }
  const lost = await missing(registry, repository, shape);
  return lost.length === 0
    ? undefined
    : `takes it and does not give it back (${lost[0]?.replace(/sha\d+:\w+/, 'DIGEST') ?? ''})`;
}

interface MirrorResult {
  readonly image: string;
  readonly state: string;
  readonly detail: string;
}

async function mirror(
  source: StartedRegistry,
  target: StartedRegistry,
  shapes: readonly Shape[],
): Promise<readonly MirrorResult[]> {
  const config = join(folder, `${target.host.replace(':', '-')}.yaml`);
  const list = `${config}.list`;
  const images = shapes.map((shape) => referenceOf(source, shape));
  await writeFile(list, `${images.join('\n')}\n`);
  await writeFile(
    config,
    stringify({
      target: { type: 'oci', oci: { ...ociOf(target), prefix: OWNER, uploadChunk: UPLOAD_CHUNK } },
      source: { registries: [{ type: 'oci', oci: ociOf(source) }] },
    }),
  );
  const args = [BUNDLE, 'mirror', '--config', config, '--file', list, '-o', 'json'];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 1 << 26 }).catch(
    (error: unknown) => error as { readonly stdout: string },
  );
  return (JSON.parse(stdout) as { readonly images: readonly MirrorResult[] }).images;
}

async function outcomeOf(
  target: StartedRegistry,
  kind: RegistryKind,
  shape: Shape,
  results: readonly MirrorResult[],
  atSource: unknown,
  source: StartedRegistry,
): Promise<Outcome> {
  const image = referenceOf(source, shape);
  const repository = `${OWNER}/${source.host.replace(':', '_')}/${sourceRepository(shape)}`;
  const result = results.find((one) => one.image === image);
  if (result?.state !== 'mirrored') {
    // If the registry also refuses the same manual push, the fault is the registry's.
    const refusal = await refusalOf(target, `${OWNER}/by-hand/${repositoryOf(shape)}`, shape);
    if (refusal !== undefined) return { kind: 'target', why: `${kind.name}: ${shape.name}: ${refusal}` };
    return { kind: 'fault', why: result?.detail ?? 'not in the result' };
  }
  const lost = await missing(target, repository, shape);
  if (lost.length > 0) {
    const refusal = await refusalOf(target, `${OWNER}/by-hand/${repositoryOf(shape)}`, shape);
    if (refusal !== undefined) return { kind: 'target', why: `${kind.name}: ${shape.name}: ${refusal}` };
    return { kind: 'fault', why: `mirrored, but the target does not have ${lost.join(', ')}` };
  }
  if (atSource === undefined) return { kind: 'same' };
  const atTarget = await containerd.fetch(`${target.host}/${repository}:${shape.tag}`, target.login);
  if (JSON.stringify(atTarget) === JSON.stringify(atSource)) return { kind: 'same' };
  return { kind: 'fault', why: `containerd: ${JSON.stringify(atSource)} and ${JSON.stringify(atTarget)}` };
}

const sourceRepository = (shape: Shape): string => `${OWNER}/${repositoryOf(shape)}`;

const referenceOf = ({ host }: StartedRegistry, shape: Shape): string =>
  `${host}/${sourceRepository(shape)}:${shape.tag}`;

function ociOf({ host, login }: StartedRegistry): object {
  return { registry: host, insecure: true, ...(login !== undefined && { credentials: login }) };
}
