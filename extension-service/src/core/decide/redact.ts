import type { FilterTrace } from '../filters/trace.js';
import { ExpressionReference } from '../filters/values.js';
import { maskText, namesSecret } from './secrets.js';

export const HIDDEN = '(hidden)';

/** Limits of the answer: readable for people, and bounded for a Pod of megabytes. */
const LIMITS = { items: 10, keys: 20, depth: 5, values: 60 };
/** Maximum depth of the search for secrets; real Pods are not deeper. */
const MAX_SEARCH_DEPTH = 40;
/** Shorter secrets are only hidden if they are the whole text: `a` occurs everywhere. */
const MIN_PART_LENGTH = 6;
/** Number of characters that identify a long secret inside another text. */
const MAX_PART_LENGTH = 200;
/** Part of a huge text that is searched before it is shortened for display. */
const WINDOW_CHARACTERS = 2_000;
/** Maximum length of a displayed text. */
const MAX_SHOWN_CHARACTERS = 120;
const MAX_SECRETS = 1_000;

/**
 * Makes values of a Pod safe to show: hides secrets and shortens the rest. It hides the values of environment variables
 * and everything whose name suggests a secret, also where an expression has copied them. Explanations end up in tickets
 * and chats, so it hides too much rather than too little.
 */
export class Redactor {
  private readonly secrets = new Set<string>();
  private readonly parts: readonly string[];

  constructor(pod: unknown) {
    this.collect(pod, '', 0);
    this.parts = [...this.secrets]
      .filter((secret) => secret.length >= MIN_PART_LENGTH)
      .map((secret) => secret.slice(0, MAX_PART_LENGTH));
  }

  trace(trace: FilterTrace): FilterTrace {
    const shown =
      trace.error === undefined ? { value: this.value(trace.value, trace.text) } : { error: this.text(trace.error) };
    return { ...trace, ...shown, children: trace.children.map((child) => this.trace(child)) };
  }

  /** `expression` is the source of the value. */
  value(value: unknown, expression: string): unknown {
    const plain = isPlainPath(expression);
    if (namesSecret(lastName(expression)) && value !== null && typeof value !== 'boolean') return HIDDEN;
    // `obj.metadata.namespace` is shown, although a variable may have the same value.
    if (plain && typeof value === 'string') return bounded(maskText(value.slice(0, WINDOW_CHARACTERS)), value);
    return this.bound(value, { left: LIMITS.values }, 0);
  }

  private bound(value: unknown, budget: { left: number }, depth: number): unknown {
    if (value instanceof ExpressionReference) return '(an expression)';
    if (typeof value === 'string') return this.text(value);
    if (typeof value !== 'object' || value === null) return value;
    if (depth >= LIMITS.depth || (budget.left -= 1) < 0) return '…';
    if (Array.isArray(value)) {
      const items = (value as unknown[])
        .slice(0, LIMITS.items)
        .map((item, index) => (follows(value, index) ? HIDDEN : this.bound(item, budget, depth + 1)));
      return value.length > items.length ? [...items, `… ${value.length - items.length} more`] : items;
    }
    const entries = Object.entries(value as Record<string, unknown>);
    const shown = entries
      .slice(0, LIMITS.keys)
      .map(([key, child]): [string, unknown] => [
        bounded(key, key),
        isSecretEntry(value, key) && hides(child) ? HIDDEN : this.bound(child, budget, depth + 1),
      ]);
    if (entries.length > shown.length) shown.push(['…', `${entries.length - shown.length} more`]);
    return Object.fromEntries(shown);
  }

  private text(text: string): string {
    if (this.secrets.has(text)) return HIDDEN;
    let masked = maskText(text.slice(0, WINDOW_CHARACTERS));
    for (const part of this.parts) {
      if (part.length < MAX_PART_LENGTH) masked = masked.replaceAll(part, HIDDEN);
      else if (masked.includes(part)) masked = masked.slice(0, masked.indexOf(part)) + HIDDEN;
    }
    return bounded(masked, text);
  }

  /** Collects every text that is a secret at its place. */
  private collect(value: unknown, name: string, depth: number): void {
    if (typeof value === 'string') {
      if (name !== '' && namesSecret(name) && value !== '') this.secrets.add(value);
      return;
    }
    if (typeof value !== 'object' || value === null || depth > MAX_SEARCH_DEPTH) return;
    if (this.secrets.size >= MAX_SECRETS) return;
    if (Array.isArray(value)) {
      for (const [index, item] of (value as unknown[]).entries()) {
        this.collect(item, follows(value, index) ? 'secret' : name, depth + 1);
      }
      return;
    }
    for (const [key, child] of Object.entries(value)) {
      this.collect(child, isSecretEntry(value, key) ? 'secret' : namesSecret(name) ? name : key, depth + 1);
    }
  }
}

/** The value of an environment variable, or a field whose name suggests a secret. */
function isSecretEntry(object: object, key: string): boolean {
  return (key === 'value' && 'name' in object) || namesSecret(key);
}

function hides(value: unknown): boolean {
  return value !== null && typeof value !== 'boolean';
}

/** `['--token', 'abc']`: the text after the flag. */
function follows(list: readonly unknown[], index: number): boolean {
  const before: unknown = index > 0 ? list[index - 1] : undefined;
  return typeof before === 'string' && /^--?[\w.-]+$/.test(before) && namesSecret(before);
}

/** A path from the Pod or the container through objects only: lists may contain anything. */
function isPlainPath(expression: string): boolean {
  return /^(?:obj|container)(?:\.(?:\w+|"[^"]*"))*$/.test(expression);
}

function lastName(expression: string): string {
  return (
    /(?:^|\.)(?:(\w+)|"([^"]*)")$/
      .exec(expression)
      ?.slice(1)
      .find((name) => name !== undefined) ?? ''
  );
}

function bounded(text: string, whole: string): string {
  return text.length > MAX_SHOWN_CHARACTERS
    ? `${text.slice(0, MAX_SHOWN_CHARACTERS)}… (${whole.length} characters)`
    : text;
}
