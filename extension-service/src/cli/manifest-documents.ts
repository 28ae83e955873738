import { isAlias, LineCounter, parseAllDocuments, visit } from 'yaml';
import type { Alias, Document, YAMLError } from 'yaml';
import { CliError, EXIT } from './exit.js';

/** Kubernetes manifests as text: YAML or JSON, one or several documents. */
export interface ManifestDocuments {
  readonly text: string;
  readonly documents: readonly Document.Parsed[];
  /** `file:line:column` of an offset in the text. */
  readonly place: (offset: number) => string;
  /** A document as plain data, with aliases and merge keys resolved. @throws CliError if it cannot be resolved */
  readonly valueOf: (document: Document.Parsed) => unknown;
}

/** The library returns this if there is no document. */
interface EmptyStream {
  readonly errors?: readonly YAMLError[];
}

/** After a few syntax errors, the rest are mostly their consequences. */
const MAX_SYNTAX_ERRORS = 20;
/** Maximum uses of one anchor; uses in nested anchors multiply. */
const MAX_ALIASES = 10_000;

/**
 * Accepts duplicate keys, of which the last counts: API servers accept them, and charts contain them. Merge keys are
 * resolved as in go-yaml.
 *
 * @throws CliError with `file:line:column` of each syntax error
 */
export function parseManifests(text: string, file: string): ManifestDocuments {
  const lineCounter = new LineCounter();
  const place = (offset: number): string => {
    const { line, col } = lineCounter.linePos(offset);
    return `${file}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  };
  let parsed: readonly Document[] | EmptyStream;
  try {
    parsed = parseAllDocuments(text, { lineCounter, prettyErrors: false, uniqueKeys: false, merge: true });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new CliError(EXIT.usage, `${file}: the YAML is nested too deeply`);
  }
  const documents = (Array.isArray(parsed) ? parsed : []) as readonly Document.Parsed[];
  const errors = [...documents, parsed as EmptyStream].flatMap((one) => one.errors ?? []);
  if (errors.length > 0) {
    const lines = errors
      .slice(0, MAX_SYNTAX_ERRORS)
      .map(({ pos, message }) => `${place(pos[0])}: ${firstLine(message)}`);
    throw new CliError(EXIT.usage, lines.join('\n'));
  }
  const valueOf = (document: Document.Parsed): unknown => {
    try {
      return document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (error) {
      if (!(error instanceof ReferenceError || error instanceof RangeError)) throw error;
      const at = unresolvedAlias(document)?.range?.[0] ?? document.range[0];
      throw new CliError(EXIT.usage, `${place(at)}: this document cannot be resolved: ${error.message}`);
    }
  };
  return { text, documents, place, valueOf };
}

function unresolvedAlias(document: Document.Parsed): Alias | undefined {
  const anchors = new Set<string>();
  let found: Alias | undefined;
  visit(document, {
    Node: (_key, node) => {
      if (!isAlias(node)) {
        if (node.anchor !== undefined) anchors.add(node.anchor);
      } else if (!anchors.has(node.source)) {
        found = node;
        return visit.BREAK;
      }
      return undefined;
    },
  });
  return found;
}

function firstLine(message: string): string {
  return (message.split('\n', 1)[0] ?? '').replace(/:$/, '').slice(0, 200);
}
