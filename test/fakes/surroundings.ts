export interface CommandLine {
  readonly command: string;
  readonly args: readonly string[];
}

/** Where programs of a test run, when that is not beside it: a machine within this one, with a network of its own. */
export interface Surroundings {
  /** The command line that starts a program there. @param cwd its working folder */
  within(command: string, args: readonly string[], cwd?: string): CommandLine;
  /** Makes a port there one of this machine's loopback interface, with the same number. */
  forward(port: number, address?: string): Promise<void>;
}
