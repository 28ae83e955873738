import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

/**
 * The address in the policies, in front of the server that currently responds. Bytes pass unchanged, so the server
 * terminates TLS. Connections that engines keep open are cut when another server takes over.
 */
export class Front {
  private readonly sockets = new Set<Socket>();
  #port = 0;

  private constructor(
    private readonly server: Server,
    private backends: readonly number[],
  ) {}

  /** Starts a front for ports of 127.0.0.1, which get connections in turn. */
  static async start(...backends: readonly number[]): Promise<Front> {
    const server = createServer((incoming) => front.pass(incoming));
    const front: Front = new Front(server, backends);
    await front.listen();
    return front;
  }

  get port(): number {
    return this.#port;
  }

  /** Sends new connections to this port and closes the old ones. */
  async setBackendPort(port: number): Promise<void> {
    this.backends = [port];
    this.cut();
    if (!this.server.listening) await this.listen();
  }

  /** Refuses connections, as if no process listened. */
  async disconnect(): Promise<void> {
    if (!this.server.listening) return;
    this.server.close();
    this.cut();
    await once(this.server, 'close');
  }

  async stop(): Promise<void> {
    await this.disconnect();
  }

  private async listen(): Promise<void> {
    this.server.listen(this.#port, '127.0.0.1');
    await once(this.server, 'listening');
    this.#port = (this.server.address() as AddressInfo).port;
  }

  private pass(incoming: Socket): void {
    const [backend = 0, ...others] = this.backends;
    this.backends = [...others, backend];
    const outgoing = connect(backend, '127.0.0.1');
    for (const [socket, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      this.sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        this.sockets.delete(socket);
        other.destroy();
      });
    }
    incoming.pipe(outgoing).pipe(incoming);
  }

  private cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }
}
