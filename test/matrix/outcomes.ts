/** The outcome of a copy of one shape from one registry to another. */
export type Outcome =
  /** The mirror has every byte, and containerd sees the same content in both registries. */
  | { readonly kind: 'same' }
  /** The source registry does not accept the shape, or loses part of it. */
  | { readonly kind: 'source'; readonly why: string }
  /** The target registry refuses the shape. `mirror` reports this and does not put a tag. */
  | { readonly kind: 'target'; readonly why: string }
  /** A bug of image-swapper. */
  | { readonly kind: 'fault'; readonly why: string };

export interface Row {
  readonly shape: string;
  readonly source: string;
  readonly target: string;
  readonly outcome: Outcome;
}

/** The table of docs/registries.md: a row per shape, a column per registry as source and as target. */
export function outcomeTable(rows: readonly Row[], kinds: readonly string[]): string {
  const shapes = [...new Set(rows.map(({ shape }) => shape))];
  const notes: string[] = [];
  const header = ['shape', ...kinds.map((kind) => `from ${kind}`), ...kinds.map((kind) => `into ${kind}`)];
  const lines = shapes.map((shape) => {
    const from = kinds.map((kind) => cell(rows, notes, shape, kind, 'source'));
    const into = kinds.map((kind) => cell(rows, notes, shape, kind, 'target'));
    return [shape, ...from, ...into];
  });
  const table = [header, header.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  return `${table}\n\n${notes.map((note, index) => `${index + 1}. ${note}`).join('\n')}\n`;
}

/**
 * Returns "yes" when all pairs with that registry succeed, and otherwise the number of the note about the registry's
 * behavior.
 */
function cell(rows: readonly Row[], notes: string[], shape: string, kind: string, end: 'source' | 'target'): string {
  const own = rows.filter((row) => row.shape === shape && row[end] === kind);
  const refused = own.find(({ outcome }) => outcome.kind === end);
  if (refused !== undefined && 'why' in refused.outcome) return noteNumber(notes, refused.outcome.why);
  const faults = own.filter(({ outcome }) => outcome.kind === 'fault');
  if (faults.length > 0) return 'fault';
  // A refusal by the other registry does not prove anything about this one.
  return own.some(({ outcome }) => outcome.kind === 'same') ? 'yes' : 'not tried';
}

function noteNumber(notes: string[], why: string): string {
  if (!notes.includes(why)) notes.push(why);
  return `no [${notes.indexOf(why) + 1}]`;
}
