import { connect, createServer } from 'node:net';
import type { AddressInfo, NetConnectOpts, Server, Socket } from 'node:net';

/**
 * Passes bytes between clients on loopback and one server, until it holds them. Then it is like a server that hangs: new
 * and open connections stay open, and nothing arrives on either side.
 */
export class HoldingProxy {
  readonly #sockets = new Set<Socket>();
  #held: (() => void)[] | undefined;

  private constructor(private readonly server: Server) {}

  /** @param to the server, as for `net.connect` */
  static async start(to: NetConnectOpts): Promise<HoldingProxy> {
    const server = createServer((client) => {
      const upstream = connect(to);
      proxy.#pass(client, upstream);
      proxy.#pass(upstream, client);
    });
    const proxy = new HoldingProxy(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** The number of times that one side has sent bytes which the other one does not get. */
  get held(): number {
    return this.#held?.length ?? 0;
  }

  hold(): void {
    this.#held ??= [];
  }

  /** Passes everything on that it has held, and all that follows. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const pass of held) pass();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<unknown>((resolve) => this.server.close(resolve));
  }

  #pass(from: Socket, to: Socket): void {
    const run = (act: () => void): void => {
      if (this.#held === undefined) act();
      else this.#held.push(act);
    };
    this.#sockets.add(from);
    from.on('data', (bytes) => run(() => to.write(bytes)));
    from.on('end', () => run(() => to.end()));
    from.on('error', () => run(() => to.destroy()));
    from.on('close', () => this.#sockets.delete(from));
  }
}
