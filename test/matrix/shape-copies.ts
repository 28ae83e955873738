import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { BUNDLE } from '../fakes/service.js';
import { Containerd } from './containerd.js';
import type { Outcome, Row } from './outcomes.js';
import { missing, push, RefusedError } from './registry-client.js';
import { OWNER, type RegistryKind, type StartedRegistry } from './registry-process.js';
import { repositoryOf, UPLOAD_CHUNK, type Shape } from './shapes.js';

/** A registry with the shapes that it accepted. */
export interface FilledRegistry {
  readonly kind: RegistryKind;
  readonly registry: StartedRegistry;
  /** Why it does not store a shape, by the shape's name. */
  readonly refused: ReadonlyMap<string, string>;
  /** The content that containerd fetched from it, by the shape's name. */
  readonly fetched: ReadonlyMap<string, unknown>;
}

/** Copies shapes from one registry to another by the built bundle, and reads the copies by other clients. */
export class ShapeCopies {
  private constructor(
    private readonly folder: string,
    private readonly containerd: Containerd,
  ) {}

  static async start(): Promise<ShapeCopies> {
    return new ShapeCopies(await mkdtemp(join(tmpdir(), 'image-swapper-matrix-')), await Containerd.start());
  }

  async stop(): Promise<void> {
    await this.containerd.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** @param fetches whether containerd also fetches each shape, here and from the copies */
  async fill(kind: RegistryKind, shapes: readonly Shape[], fetches: boolean): Promise<FilledRegistry> {
    const registry = await kind.start();
    const refused = new Map<string, string>();
    const fetched = new Map<string, unknown>();
    for (const shape of shapes) {
      const why = await refusalOf(registry, sourceRepository(shape), shape);
      if (why !== undefined) refused.set(shape.name, `${kind.name}: ${shape.name}: ${why}`);
      else if (fetches)
        fetched.set(shape.name, await this.containerd.fetch(referenceOf(registry, shape), registry.login));
    }
    return { kind, registry, refused, fetched };
  }

  /** @returns a row for each shape */
  async copy(source: FilledRegistry, into: RegistryKind, shapes: readonly Shape[]): Promise<readonly Row[]> {
    const target = await into.start();
    try {
      const stored = shapes.filter(({ name }) => !source.refused.has(name));
      const results = await this.mirror(source.registry, target, stored);
      const rows: Row[] = [];
      for (const shape of shapes) {
        const why = source.refused.get(shape.name);
        const outcome: Outcome =
          why === undefined ? await this.outcome(source, target, into, shape, results) : { kind: 'source', why };
        rows.push({ shape: shape.name, source: source.kind.name, target: into.name, outcome });
      }
      return rows;
    } finally {
      await target.stop();
    }
  }

  private async mirror(
    source: StartedRegistry,
    target: StartedRegistry,
    shapes: readonly Shape[],
  ): Promise<readonly MirrorResult[]> {
    const config = join(this.folder, `${target.host.replace(':', '-')}.yaml`);
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

  private async outcome(
    { registry: source, fetched }: FilledRegistry,
    target: StartedRegistry,
    kind: RegistryKind,
    shape: Shape,
    results: readonly MirrorResult[],
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
    const atSource = fetched.get(shape.name);
    if (atSource === undefined) return { kind: 'same' };
    const atTarget = await this.containerd.fetch(`${target.host}/${repository}:${shape.tag}`, target.login);
    if (JSON.stringify(atTarget) === JSON.stringify(atSource)) return { kind: 'same' };
    return { kind: 'fault', why: `containerd: ${JSON.stringify(atSource)} and ${JSON.stringify(atTarget)}` };
  }
}

interface MirrorResult {
  readonly image: string;
  readonly state: string;
  readonly detail: string;
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

const sourceRepository = (shape: Shape): string => `${OWNER}/${repositoryOf(shape)}`;

const referenceOf = ({ host }: StartedRegistry, shape: Shape): string =>
  `${host}/${sourceRepository(shape)}:${shape.tag}`;

function ociOf({ host, login }: StartedRegistry): object {
  return { registry: host, insecure: true, ...(login !== undefined && { credentials: login }) };
}
