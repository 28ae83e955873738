/** Exit codes of every command. */
export const EXIT = {
  ok: 0,
  /** The command worked and found a problem: a failed copy, a missing permission. */
  findings: 1,
  /** Wrong usage or an unusable configuration. */
  usage: 2,
  /** An external failure: a port, a registry, the network, a file. */
  infrastructure: 3,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends a command with a message on stderr. */
export class CliError extends Error {
  override readonly name = 'CliError';
  constructor(
    readonly exitCode: ExitCode,
    message: string,
  ) {
    super(message);
  }
}
