import { Document, isScalar, Scalar, visit } from 'yaml';

/**
 * Placeholders for Helm actions in a rendered object. They consist of letters and digits only, so that YAML, CEL and
 * JMESPath keep them as plain text.
 */
export class Placeholders {
  readonly #helm = new Map<string, string>();

  /** Returns a placeholder for a Helm action, such as `{{ $url }}`. */
  of(helm: string): string {
    const known = [...this.#helm].find(([, text]) => text === helm);
    const name = known?.[0] ?? `zzhelm${this.#helm.size}zz`;
    this.#helm.set(name, helm);
    return name;
  }

  /** The object as a YAML template: literal braces are escaped for Helm, and placeholders become their actions. */
  toTemplate(object: unknown): string {
    const document = new Document(object, { aliasDuplicateObjects: false });
    visit(document, {
      Scalar: (_key, node) => {
        // The output of Helm may need different quotes than the placeholder. A literal block does not have quotes.
        if (isScalar(node) && typeof node.value === 'string' && this.#needsBlock(node.value)) {
          node.type = Scalar.BLOCK_LITERAL;
        }
      },
    });
    const kept = document
      .toString({ lineWidth: 0 })
      .replaceAll(/\{\{|\}\}/g, (braces) => `{{ ${braces === '{{' ? '"{{"' : '"}}"'} }}`);
    return this.#fill(kept);
  }

  #needsBlock(text: string): boolean {
    return text.includes('{{') || (/zzhelm\d+zz/.test(text) && !/^[A-Za-z0-9./_:-]+$/.test(text));
  }

  #fill(text: string): string {
    return text.replaceAll(/zzhelm\d+zz/g, (name) => this.#helm.get(name) ?? name);
  }
}

/** Merges two objects that were rendered with different options. `choose` combines the strings that differ. */
export function merged<T>(one: T, other: T, choose: (one: string, other: string) => string): T {
  if (Array.isArray(one) && Array.isArray(other)) {
    if (one.length !== other.length) throw new Error('lists of different lengths cannot be merged');
    return one.map((item, index) => merged<unknown>(item, other[index], choose)) as T;
  }
  if (typeof one === 'object' && one !== null && typeof other === 'object' && other !== null) {
    const keys = Object.keys(one);
    if (keys.join() !== Object.keys(other).join()) throw new Error('objects with different keys cannot be merged');
    const [a, b] = [one as Record<string, unknown>, other as Record<string, unknown>];
    return Object.fromEntries(keys.map((key) => [key, merged(a[key], b[key], choose)])) as T;
  }
  if (one === other) return one;
  if (typeof one === 'string' && typeof other === 'string') return difference(one, other, choose) as T;
  return choose(String(one), String(other)) as T;
}

/** Calls `choose` only for the part in which the strings differ, extended to whole words. */
function difference(one: string, other: string, choose: (one: string, other: string) => string): string {
  let start = 0;
  while (start < Math.min(one.length, other.length) && one[start] === other[start]) start += 1;
  while (start > 0 && /\w/.test(one[start - 1] ?? '')) start -= 1;
  let end = 0;
  const most = Math.min(one.length, other.length) - start;
  while (end < most && one.at(-1 - end) === other.at(-1 - end)) end += 1;
  while (end > 0 && /\w/.test(one.at(-end) ?? '')) end -= 1;
  const middle = (text: string): string => text.slice(start, text.length - end);
  return one.slice(0, start) + choose(middle(one), middle(other)) + one.slice(one.length - end);
}

/** Returns the values of `next` where they differ from `plain`, and those of `before` elsewhere. */
export function overlay<T>(plain: T, before: T, next: T): T {
  if (Array.isArray(plain)) return plain.map((item, index) => overlay(item, at(before, index), at(next, index))) as T;
  if (typeof plain === 'object' && plain !== null) {
    const keys = Object.keys(plain);
    return Object.fromEntries(keys.map((key) => [key, overlay(at(plain, key), at(before, key), at(next, key))])) as T;
  }
  return next === plain ? before : next;
}

function at(value: unknown, key: string | number): unknown {
  return (value as Record<string | number, unknown>)[key];
}

/** Returns a copy of the data with `map` applied to every string. */
export function mapStrings(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value);
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, map));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapStrings(item, map)]));
}
