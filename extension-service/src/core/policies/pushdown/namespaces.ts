import type { Atom } from './predicate.js';

/** The patterns of Gatekeeper's namespace lists: a name, or a part of one with `*` before it, after it or both. */
export function namespacePatterns(atom: Atom): readonly string[] | undefined {
  switch (atom.kind) {
    case 'present':
      return undefined;
    case 'equals':
      return atom.texts.every(isNamespace) ? atom.texts : undefined;
    default: {
      if (!/^[-a-z0-9]+$/.test(atom.text)) return undefined;
      const [before, after] = [atom.kind !== 'startsWith' ? '*' : '', atom.kind !== 'endsWith' ? '*' : ''];
      return [`${before}${atom.text}${after}`];
    }
  }
}

/** Whether `pattern` matches every name that `other` matches. */
export function covers(pattern: string, other: string): boolean {
  if (!pattern.includes('*')) return pattern === other;
  const [text, otherText] = [pattern.replaceAll('*', ''), other.replaceAll('*', '')];
  const [start, end] = [pattern.startsWith('*'), pattern.endsWith('*')];
  if (start && end) return otherText.includes(text);
  if (start) return !other.endsWith('*') && otherText.endsWith(text);
  return !other.startsWith('*') && otherText.startsWith(text);
}

/** The intersection of both lists; undefined if no pattern expresses the intersection of two patterns. */
export function common(some: readonly string[], others: readonly string[]): readonly string[] | undefined {
  const known = new Set(others);
  const patterns = others.filter((other) => other.includes('*'));
  const shared = new Set<string>();
  for (const one of some) {
    if (known.has(one) || patterns.some((pattern) => covers(pattern, one))) shared.add(one);
    else if (one.includes('*')) {
      for (const other of others) {
        if (covers(one, other)) shared.add(other);
        else if (other.includes('*')) return undefined;
      }
    }
  }
  return [...shared];
}

/** The union of all patterns, without those that others include. */
export function anyOf(patterns: Iterable<string>): readonly string[] {
  const all = [...new Set(patterns)];
  const wide = all.filter((pattern) => pattern.includes('*'));
  return all.filter((one) => !wide.some((other) => other !== one && covers(other, one)));
}

function isNamespace(text: string): boolean {
  return /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(text);
}
