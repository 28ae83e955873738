/**
 * A link between a client and servers on loopback, in a separate process: each byte is delayed by 10 ms in each
 * direction, and all connections share 400 Mbit/s in each direction. The kernels of many test machines lack netem.
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

const DELAY_MS = 10;
const BYTES_PER_MS = 400_000_000 / 8 / 1_000;
/**
 * Maximum bytes in flight for one connection. This is more than delay times rate, so that one connection can fill the
 * link.
 */
const MAX_IN_FLIGHT = 2 * 1024 * 1024;

export interface LinkRequest {
  /** Ports on 127.0.0.1 that the link leads to. */
  readonly ports: readonly number[];
}

/** The ports on 127.0.0.1 that lead to the ports of the request, in the same order. */
export type LinkAnswer = readonly number[];

/** The time at which a direction will have sent its current data, milliseconds. */
interface Direction {
  freeAt: number;
}

interface Piece {
  readonly bytes: Buffer | undefined;
  readonly at: number;
}

const up: Direction = { freeAt: 0 };
const down: Direction = { freeAt: 0 };

process.once('message', (request: LinkRequest) => void serve(request));
process.once('disconnect', () => process.exit());

async function serve({ ports }: LinkRequest): Promise<void> {
  process.send?.(await Promise.all(ports.map(listen)));
}

async function listen(port: number): Promise<number> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    // The handshake takes one round trip, during which a client at the other end of a real link sends nothing.
    const openAt = performance.now() + 2 * DELAY_MS;
    const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    forward(client, upstream, up, openAt);
    forward(upstream, client, down, openAt);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      socket.on('error', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

function forward(from: Socket, to: Socket, direction: Direction, openAt: number): void {
  const pieces: Piece[] = [];
  let inFlight = 0;
  let timer: NodeJS.Timeout | undefined;
  const add = (bytes: Buffer | undefined): void => {
    const length = bytes?.length ?? 0;
    const startsAt = Math.max(performance.now(), direction.freeAt, openAt);
    direction.freeAt = startsAt + length / BYTES_PER_MS;
    pieces.push({ bytes, at: direction.freeAt + DELAY_MS });
    inFlight += length;
    if (inFlight > MAX_IN_FLIGHT) from.pause();
    schedule();
  };
  const schedule = (): void => {
    const [next] = pieces;
    if (next === undefined || timer !== undefined) return;
    timer = setTimeout(sendDelayed, Math.max(0, next.at - performance.now()));
  };
  const sendDelayed = (): void => {
    timer = undefined;
    const now = performance.now();
    for (let next = pieces[0]; next !== undefined && next.at <= now + 0.5; next = pieces[0]) {
      pieces.shift();
      if (next.bytes === undefined) to.end();
      else {
        const { length } = next.bytes;
        to.write(next.bytes, () => {
          inFlight -= length;
          if (inFlight <= MAX_IN_FLIGHT) from.resume();
        });
      }
    }
    schedule();
  };
  from.on('data', (bytes) => add(Buffer.from(bytes)));
  from.on('end', () => add(undefined));
}
