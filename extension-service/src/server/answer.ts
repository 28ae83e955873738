/** What a route answers; the listener writes it. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  /** Ends the connection after the answer. */
  readonly close?: boolean;
}

export function json(value: unknown, status = 200): Answer {
  return { status, body: JSON.stringify(value) };
}

/** The error body of every route: a code for programs, a sentence for people, no secrets. */
export function errorAnswer(status: number, code: string, message: string): Answer {
  return json({ error: { code, message } }, status);
}
