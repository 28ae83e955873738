import { DIGEST_TAG } from '../core/image/digest-tag.js';
import { InvalidReferenceError, formatReference, parseReference } from '../core/image/reference.js';
import { mirrorJobKey } from '../core/decide/mirror-job.js';
import type { Rules } from '../core/decide/rules.js';
import type { LayoutEnd } from '../mirror/registry-copier.js';
import { RegistryError } from '../registry/errors.js';
import { LayoutStore } from '../registry/layout/layout-store.js';
import { messageOf } from '../util/message-of.js';
import { CliError, EXIT } from './exit.js';
import { planImage } from './mirror-rows.js';
import type { CheckDepth, Planned } from './mirror-rows.js';

/** Opens a layout for writing; creates it in a new or empty folder. */
export async function openLayout(folder: string): Promise<LayoutEnd> {
  return { end: 'target', store: await opened(() => LayoutStore.open(folder)) };
}

/** The same image, with a layout as its target and its full reference as its name. */
export function withLayoutTarget(planned: Planned, folder: string): Planned {
  if ('row' in planned) return planned;
  const { job } = planned;
  const source = parseReference(job.source);
  const repository = `${source.registry}/${source.repository}`;
  const name = formatReference(source);
  const published = name.slice(repository.length);
  const { digest } = source;
  const reference = {
    registry: `layout ${folder}`,
    repository,
    ...(digest === undefined ? {} : { digest }),
    shownAs: published,
    published,
    text: `oci:${folder}:${name}`,
  };
  return { ...planned, job: { ...job, reference, target: '', key: mirrorJobKey(reference, job.platforms) } };
}

/** The images of a layout with the names that the configuration gives them: the requested ones, or all. */
export async function planFromLayout(
  rules: Rules,
  folder: string,
  images: readonly string[],
  depth: CheckDepth = 'parts',
): Promise<{ readonly layout: LayoutEnd; readonly planned: readonly Planned[] }> {
  const store = await opened(() => LayoutStore.read(folder));
  // Signatures follow their images.
  const names = store.names.filter((name) => !isDigestTag(name));
  const wanted = new Set(images.map(normalized));
  const found = names.filter((name) => wanted.size === 0 || wanted.has(normalized(name)));
  const known = new Set(names.map(normalized));
  const planned = [
    ...found.map((name) => planName(rules, name, depth)),
    ...[...wanted].filter((name) => !known.has(name)).map((name) => row(name, 'failed', `${folder} has no such name`)),
    ...(wanted.size > 0 ? [] : (await store.unnamedImages()).map((digest) => row(digest, 'kept', 'it has no name'))),
  ];
  if (planned.length === 0) throw new CliError(EXIT.usage, `${folder}: index.json names no image`);
  return { layout: { end: 'source', store }, planned };
}

function planName(rules: Rules, name: string, depth: CheckDepth): Planned {
  // A short name would be read as one of Docker Hub.
  if (normalized(name) === name.replace(/^index\.docker\.io\//, 'docker.io/')) return planImage(rules, name, depth);
  const advice = 'name it HOST/REPOSITORY:TAG, as mirror --to-layout and crane --annotate-ref do';
  return row(
    name,
    'failed',
    `the name in index.json (org.opencontainers.image.ref.name) is not a whole reference: ${advice}`,
  );
}

function row(image: string, state: 'failed' | 'kept', detail: string): Planned {
  return { row: { image, state, detail } };
}

function isDigestTag(name: string): boolean {
  return DIGEST_TAG.test(name.slice(name.lastIndexOf(':') + 1));
}

/** A text that is not a reference is returned unchanged. */
function normalized(name: string): string {
  try {
    return formatReference(parseReference(name));
  } catch (error) {
    if (error instanceof InvalidReferenceError) return name;
    throw error;
  }
}

async function opened(open: () => Promise<LayoutStore>): Promise<LayoutStore> {
  try {
    return await open();
  } catch (error) {
    throw new CliError(error instanceof RegistryError ? EXIT.usage : EXIT.infrastructure, messageOf(error));
  }
}
