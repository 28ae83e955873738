/** Why a file cannot be read, in words. */
export function unreadable(error: unknown): string {
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'the file does not exist',
    EISDIR: 'this is a directory',
    EACCES: 'the user that runs the program has no permission to read this file',
  };
  const code = codeOf(error);
  return reasons[code] ?? `cannot read the file (${code})`;
}

/** Node's code of a failure, such as ENOENT. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
