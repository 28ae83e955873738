import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { LinkAnswer, LinkRequest } from './link-relay.js';

/** The relay of link-relay.ts as a process. */
export class ForkedLink {
  private constructor(
    private readonly child: ChildProcess,
    /** host:port at which the link forwards to each of the ports. */
    readonly hosts: readonly string[],
  ) {}

  /** @param ports on 127.0.0.1 */
  static async start(ports: readonly number[]): Promise<ForkedLink> {
    const program = fileURLToPath(new URL('link-relay.ts', import.meta.url));
    const child = fork(program, { execArgv: ['--import', 'tsx'] });
    const request: LinkRequest = { ports };
    child.send(request);
    const [answer] = (await once(child, 'message')) as [LinkAnswer];
    return new ForkedLink(
      child,
      answer.map((port) => `127.0.0.1:${port}`),
    );
  }

  stop(): void {
    this.child.kill();
  }
}
