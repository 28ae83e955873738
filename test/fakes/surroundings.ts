export interface CommandLine {
  readonly command: string;
  readonly args: readonly string[];
}

/**
 * The environment of a test's programs when they do not run beside the test: a machine within this one, with a separate
 * network.
 */
export interface Surroundings {
  /** Returns the command line that starts a program in the environment. @param cwd its working folder */
  within(command: string, args: readonly string[], cwd?: string): CommandLine;
  /** Forwards a port of this machine's loopback interface to the same port in the environment. */
  forward(port: number, address?: string): Promise<void>;
}
