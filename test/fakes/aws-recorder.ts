import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { readSignature } from './aws-signature.js';
import { readCall, type SentCall } from './ecr-calls.js';

/** One call, in the order of arrival. */
export interface RecordedCall extends SentCall {
  readonly time: number;
  readonly region: string | undefined;
  readonly accessKey: string | undefined;
  /** Status of the response; 0 until the response. */
  readonly status: number;
  /** The response body: JSON from ECR, XML from STS. */
  readonly answer: string;
}

type OpenCall = { -readonly [K in keyof RecordedCall]: RecordedCall[K] };

/** Changes the body of a response with status 200. */
export type AnswerChange = (call: RecordedCall) => string;

/** A proxy that records the requests to a server that simulates ECR and STS. */
export class AwsRecorder {
  readonly log: RecordedCall[] = [];

  private constructor(
    private readonly server: Server,
    readonly origin: string,
    private readonly backend: string,
    private readonly change: AnswerChange,
  ) {}

  static async start(backend: string, change: AnswerChange = ({ answer }) => answer): Promise<AwsRecorder> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const recorder = new AwsRecorder(server, origin, backend, change);
    server.on('request', (request, response) => {
      request.on('error', () => undefined);
      response.on('error', () => undefined);
      recorder.#serve(request, response).catch(() => response.destroy());
    });
    return recorder;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const call = readCall(request, body);
    const { accessKey, region } = readSignature(request.headers) ?? {};
    const entry: OpenCall | undefined = call && { ...call, time: Date.now(), region, accessKey, status: 0, answer: '' };
    if (entry !== undefined) this.log.push(entry);
    const { method = 'GET', url = '/' } = request;
    const headers = new Headers();
    for (const [name, value] of Object.entries(request.headers)) {
      // fetch sets the headers of the connection itself.
      if (typeof value === 'string' && !['connection', 'content-length', 'host', 'expect'].includes(name)) {
        headers.set(name, value);
      }
    }
    const hasBody = method !== 'GET' && method !== 'HEAD';
    const answer = await fetch(`${this.backend}${url}`, { method, headers, ...(hasBody && { body }) });
    let content = await answer.text();
    if (entry !== undefined) {
      entry.status = answer.status;
      entry.answer = content;
      if (answer.status === 200) content = this.change(entry);
    }
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' });
    response.end(content);
  }
}
