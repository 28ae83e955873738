import { oneLine } from '../core/image/quote.js';

/** The response of a route; the listener writes it. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  /** Closes the connection after the answer. */
  readonly close?: boolean;
}

export function json(value: unknown, status = 200): Answer {
  return { status, body: jsonText(value) };
}

/** Equivalent JSON that never contains two opening braces in a row, which some readers interpret as a template. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value).replaceAll('{{', '{\\u007b');
}

/** External text in a message: one line, no template, limited length. */
export function plainText(text: string): string {
  const shown = text.length > 1_000 ? `${text.slice(0, 1_000)}…` : text;
  return oneLine(shown.replaceAll('{{', '{ {'));
}

/** The error body of every route: a code for programs, a sentence for users, no secrets. */
export function errorAnswer(status: number, code: string, message: string): Answer {
  return json({ error: { code, message: plainText(message) } }, status);
}
