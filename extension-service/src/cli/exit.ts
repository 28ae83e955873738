/** Exit codes of every command. */
export const EXIT = {
  ok: 0,
  /** The command worked and found something wrong: a failed copy, a missing permission. */
  findings: 1,
  /** Wrong usage or a configuration that cannot be used. */
  usage: 2,
  /** Something outside failed: a port, a registry, the network, a file. */
  infrastructure: 3,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends a command with a message for people on stderr. */
export class CliError extends Error {
  override readonly name = 'CliError';
  constructor(
    readonly exitCode: ExitCode,
    message: string,
  ) {
    super(message);
  }
}
