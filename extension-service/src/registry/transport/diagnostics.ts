import { oneLine } from '../../core/image/quote.js';
import { parseBoundedJson } from '../../core/json-bounds.js';
import type { Diagnostic } from '../errors.js';

/** The `errors` of an error body (distribution spec, "Error Codes"); none when it has no such list. */
export function parseDiagnostics(body: string): Diagnostic[] {
  try {
    const json = parseBoundedJson(body, body.length) as { errors?: unknown };
    if (!Array.isArray(json.errors)) return [];
    return json.errors.slice(0, 5).flatMap((entry: unknown) => {
      if (typeof entry !== 'object' || entry === null) return [];
      const { code, message } = entry as { code?: unknown; message?: unknown };
      return [{ code: clip(code), message: clip(message) }];
    });
  } catch {
    return [];
  }
}

function clip(value: unknown): string {
  // The text goes into logs: one line, no escape sequences.
  return typeof value === 'string' ? oneLine(value.slice(0, 300).replace(/\p{Cc}/gu, ' ')) : '';
}
