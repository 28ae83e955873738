import type { ImageStore } from './image-store.js';
import type { RequestContext } from './types.js';

/**
 * Which targets fold the case of tags: Gitea 1.26 answers a request for `V1` with the image of `v1`. There, a tag with
 * capitals refers to another image than the source's, and putting it would move the other tag.
 */
export class TagCase {
  readonly #folds = new Map<string, boolean>();

  /** Undefined if it is not known yet. */
  known(host: string): boolean | undefined {
    return this.#folds.get(host);
  }

  /** Finds out with a tag that the target has, by requesting it in an unused spelling. Checks once per target. */
  async ignoresCase(
    client: ImageStore,
    repository: string,
    existing: { readonly tag: string; readonly digest: string },
    context: RequestContext,
  ): Promise<boolean | undefined> {
    const known = this.#folds.get(client.host);
    if (known !== undefined) return known;
    const spelling = otherSpelling(existing.tag);
    if (spelling === undefined) return undefined;
    const head = await client.headManifest(repository, spelling, context);
    const folds = head?.digest === existing.digest;
    // `v1` and `V1` may both exist, with the same image; a mixed spelling, which is never pushed, is conclusive.
    if (!folds || isMixed(spelling)) this.#folds.set(client.host, folds);
    return folds;
  }
}

export function hasCapitals(tag: string): boolean {
  return /[A-Z]/.test(tag);
}

/**
 * A spelling in mixed case if the tag has two letters, since tools push tags in all capitals; undefined without
 * letters.
 */
function otherSpelling(tag: string): string | undefined {
  const letters = [...tag.matchAll(/[A-Za-z]/g)].map(({ index }) => index);
  const spellings = [letters.slice(-1), letters.slice(0, 1), letters].map((places) => toggled(tag, new Set(places)));
  const mixed = spellings.find(isMixed);
  return letters.length === 0 ? undefined : (mixed ?? spellings[2]);
}

function isMixed(tag: string): boolean {
  return tag !== tag.toLowerCase() && tag !== tag.toUpperCase();
}

function toggled(tag: string, places: ReadonlySet<number>): string {
  const toggle = (letter: string): string =>
    letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase();
  return [...tag].map((character, at) => (places.has(at) ? toggle(character) : character)).join('');
}

export function foldedTagText(repository: string, tag: string): string {
  return (
    `${repository}:${tag} is not copied: this registry ignores the case of tags, so ${tag} and ${tag.toLowerCase()} ` +
    'are the same tag; use the digest, or a registry with case-sensitive tags'
  );
}
