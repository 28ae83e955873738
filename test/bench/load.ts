import { Agent, request } from 'node:https';
import { quantile } from './table.js';

export interface LoadOptions {
  readonly url: string;
  readonly ca: string;
  readonly body: string;
  /** Parallel requests. */
  readonly clients: number;
  readonly seconds: number;
  /** Opens a new TCP and TLS connection for each request, without resumption, as an engine with a CA bundle does. */
  readonly newConnections?: boolean;
  /** Pause of each client between its requests, milliseconds. */
  readonly pause?: number;
}

export interface LoadResult {
  readonly perSecond: number;
  /** Latencies in milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly requests: number;
  /** Every latency, sorted. */
  readonly latencies: readonly number[];
}

/** Sends the same POST from several clients for a period. @throws Error at the first response other than 200 */
export async function load(options: LoadOptions): Promise<LoadResult> {
  const { clients, seconds, newConnections = false, pause = 0 } = options;
  const agent = newConnections
    ? new Agent({ keepAlive: false, maxCachedSessions: 0 })
    : new Agent({ keepAlive: true, maxSockets: clients });
  const latencies: number[] = [];
  const started = performance.now();
  const until = started + seconds * 1_000;
  const client = async (): Promise<void> => {
    while (performance.now() < until) {
      const sent = performance.now();
      await send(options, agent);
      latencies.push(performance.now() - sent);
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  const elapsed = (performance.now() - started) / 1_000;
  agent.destroy();
  latencies.sort((a, b) => a - b);
  return {
    perSecond: latencies.length / elapsed,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    max: latencies.at(-1) ?? 0,
    requests: latencies.length,
    latencies,
  };
}

function send({ url, ca, body }: LoadOptions, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        method: 'POST',
        agent,
        ca,
        headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
      },
      (response) => {
        response.resume();
        response.on('end', () => {
          if (response.statusCode === 200) resolve();
          else reject(new Error(`${url} answered ${response.statusCode}`));
        });
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}
