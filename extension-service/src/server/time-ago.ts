/** Formats a time span: `12 s`, `5 min`. Both arguments are milliseconds since the epoch. */
export function timeAgo(from: number, to: number): string {
  const seconds = Math.max(0, Math.round((to - from) / 1_000));
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
