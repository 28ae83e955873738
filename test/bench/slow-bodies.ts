/**
 * The slow bodies for the benchmark of a hostile namespace, in a separate process, so that the sender's cost is not
 * measured: each body is sent except its end. A closed connection is reopened.
 */
import { connect } from 'node:net';

/** A body takes almost as long as the service waits for one. */
const PIECES = 25;
const PIECE_PAUSE_MS = 1_000;

export interface SlowBodiesRequest {
  readonly url: string;
  readonly count: number;
  readonly bytes: number;
  /** Milliseconds until a refused body is sent again. */
  readonly pause: number;
}

process.once('message', ({ url, count, bytes, pause }: SlowBodiesRequest) => {
  const { hostname, port } = new URL(url);
  const head = Buffer.from(`POST /v1/kyverno HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n`);
  const piece = Buffer.alloc(Math.floor(bytes / PIECES), 'x');
  const hold = (): void => {
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined);
    let sent = 0;
    const timer = setInterval(() => {
      if (sent < PIECES - 1) socket.write(piece);
      sent += 1;
    }, PIECE_PAUSE_MS);
    socket.on('close', () => {
      clearInterval(timer);
      setTimeout(hold, pause);
    });
    socket.resume();
    socket.write(head);
  };
  for (let n = 0; n < count; n += 1) hold();
  process.send?.('started');
});
