import { Agent, request as httpsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';

/** The response to one request, or its error. */
export interface Answered {
  readonly status: number;
  readonly text: string;
  readonly error?: string;
}

export interface LoadOptions {
  readonly url: string;
  /** CA certificates that clients trust from the start, so that they also accept a new server certificate. */
  readonly ca: readonly string[];
  readonly body: (n: number) => string;
  /** Number of clients that keep their connection. */
  readonly kept: number;
  /** Number of clients that open a connection for each request. */
  readonly fresh: number;
  /** Milliseconds between two requests of a client. */
  readonly pause: number;
}

/** Sends requests at a steady rate until `stop`, and records every response. */
export class SteadyLoad {
  readonly answers: Answered[] = [];
  /**
   * Local ports of the clients that keep their connection. There are more ports than such clients only if a connection
   * was cut.
   */
  readonly keptPorts = new Set<number>();
  readonly #clients: Promise<void>[];
  #stopped = false;
  #count = 0;

  constructor(private readonly options: LoadOptions) {
    const { kept, fresh } = options;
    const agents = Array.from({ length: kept }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
    this.#clients = [...agents, ...Array.from({ length: fresh }, () => false as const)].map((agent) =>
      this.#run(agent),
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  async #run(agent: Agent | false): Promise<void> {
    while (!this.#stopped) {
      this.answers.push(await this.#send(agent));
      await sleep(this.options.pause);
    }
    if (agent !== false) agent.destroy();
  }

  #send(agent: Agent | false): Promise<Answered> {
    const body = this.options.body(this.#count++);
    const { url, ca } = this.options;
    return new Promise((resolve) => {
      const failed = (error: Error): void => resolve({ status: 0, text: '', error: error.message });
      const headers = { 'Content-Length': Buffer.byteLength(body) };
      const sent = httpsRequest(url, { method: 'POST', agent, ca: [...ca], headers });
      sent.on('error', failed);
      sent.on('response', (response) => {
        if (agent !== false && sent.socket?.localPort !== undefined) this.keptPorts.add(sent.socket.localPort);
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('error', failed);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      });
      sent.end(body);
    });
  }
}
