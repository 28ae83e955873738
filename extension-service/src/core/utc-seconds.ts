/** Formats milliseconds since the epoch for users, in whole seconds: `2026-11-30T09:15:00Z`. */
export function utcSeconds(time: number): string {
  return new Date(time).toISOString().replace(/\.\d+Z$/, 'Z');
}
