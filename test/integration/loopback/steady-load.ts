import { Agent, request as httpsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';

/** One answered request, or what went wrong instead. */
export interface Answered {
  readonly status: number;
  readonly text: string;
  readonly error?: string;
}

export interface LoadOptions {
  readonly url: string;
  /** Authorities that are trusted from the start, so that a new certificate is not a surprise to the clients. */
  readonly ca: readonly string[];
  readonly body: (n: number) => string;
  /** Clients that keep their connection. */
  readonly kept: number;
  /** Clients that open a connection for each request. */
  readonly fresh: number;
  /** Milliseconds between two requests of a client. */
  readonly pause: number;
}

/** Requests at a steady rate until stopped; remembers every answer. */
export class SteadyLoad {
  readonly answers: Answered[] = [];
  /** Local ports of the clients that keep their connection: as many as there are such clients, unless one was cut. */
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
