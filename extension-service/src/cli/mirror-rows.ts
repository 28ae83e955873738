import { decideContainer } from '../core/decide/decide.js';
import type { Mirror } from '../core/decide/decide.js';
import type { Rules } from '../core/decide/rules.js';
import type { CopyOutcome } from '../mirror/job.js';
import { table } from './output.js';

/** A row of the command's result. */
export interface MirrorRow {
  readonly image: string;
  readonly reference?: string;
  readonly state: 'mirrored' | 'up-to-date' | 'kept' | 'would-mirror' | 'failed';
  readonly detail: string;
  readonly digest?: string;
  readonly platforms?: CopyOutcome['platforms'];
  readonly bytes?: CopyOutcome['bytes'];
}

/** An image with where it goes, or with why it goes nowhere. */
export type Planned = { readonly image: string; readonly mirror: Mirror } | { readonly row: MirrorRow };

/** Where an image that is named goes. */
export function planImage(rules: Rules, image: string): Planned {
  const container = { list: 'containers' as const, index: 0, name: '', image, object: { image } };
  // Filters are about Pods, and here is none: an image that is asked for by name is copied.
  const decision = decideContainer({ ...rules, filters: [] }, {}, container);
  if (decision.action === 'mirror') return { image, mirror: decision };
  const state = decision.reason === 'in-target' ? 'kept' : 'failed';
  return { row: { image, state, detail: decision.detail } };
}

export function rowOf({
  image,
  mirror: { reference },
}: {
  image: string;
  mirror: Mirror;
}): Omit<MirrorRow, 'state' | 'detail'> {
  return { image, reference: reference.text };
}

export function summary(rows: readonly MirrorRow[]): string {
  const cells = rows.map(({ state, image, reference, digest, detail }) => [
    state,
    image,
    reference === undefined ? '' : `-> ${reference}`,
    digest?.slice(0, 19) ?? '',
    detail,
  ]);
  return table(cells);
}
