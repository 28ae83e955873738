import type { IncomingMessage } from 'node:http';
import type { OnReadOpts, Socket } from 'node:net';
import { Slab } from './slab.js';

/**
 * Receives a piece of a body. The receiver calls `release` once it no longer needs the bytes, which may then be
 * overwritten.
 */
export type TakePiece = (piece: Buffer, release: () => void) => void;

/** Maximum bytes of one read. By default, Node's sockets read up to 64 KiB into a new buffer each time. */
const READ_BUFFER_BYTES = 512 * 1024;

/**
 * Shared by all sockets whose bytes go to Node's parser, which copies the bytes that it keeps before the callback
 * returns.
 */
const shared = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);

const readers = new WeakMap<Socket, BodyReader>();

/** The reader of the socket that has just read. Node requests that socket's next buffer right after the callback. */
let current: BodyReader | undefined;

/**
 * The `onread` option of sockets. They read into one shared buffer, except for bodies that `readPieces` hands out. See
 * docs/decisions/0010-blob-streaming.md for the savings.
 */
export const READ_BUFFERS: OnReadOpts = {
  buffer: () => {
    const reader = current;
    current = undefined;
    return reader?.nextBuffer() ?? shared;
  },
  callback(this: Socket, length: number, buffer: Uint8Array): boolean {
    const bytes = (buffer as Buffer).subarray(0, length);
    const reader = readers.get(this);
    if (reader === undefined) this.emit('data', bytes);
    else reader.read(bytes);
    current = reader;
    return true;
  },
};

/**
 * Hands out a body of `length` bytes without copying it, if its socket reads with `READ_BUFFERS`. Node's parser still
 * sees every byte and detects the end of the body. `pause`, `resume`, `error` and `end` of the response work as usual.
 *
 * @param length the Content-Length header's value; the body has no other framing
 */
export function readPieces(response: IncomingMessage, length: number, take: TakePiece): void {
  const reader = new BodyReader(response, length, take);
  const { socket } = response;
  readers.set(socket, reader);
  response.once('close', () => {
    if (readers.get(socket) === reader) readers.delete(socket);
  });
}

class BodyReader {
  readonly #socket: Socket;
  #slab: Slab | undefined;
  #received = 0;
  #isStopped = false;

  constructor(
    private readonly response: IncomingMessage,
    private readonly length: number,
    private readonly take: TakePiece,
  ) {
    this.#socket = response.socket;
    // Bytes that arrived earlier, or while the reader was paused, come from the response itself.
    response.on('data', (piece: Buffer) => {
      this.#received += piece.length;
      take(piece, () => undefined);
    });
    response.on('resume', () => {
      if (!this.#isStopped) return;
      this.#isStopped = false;
      this.#socket.resume();
    });
  }

  get #isOver(): boolean {
    return this.#received >= this.length;
  }

  /** The memory for the next read; undefined when the body has ended. */
  nextBuffer(): Buffer | undefined {
    if (this.#isOver) {
      this.#slab?.retire();
      this.#slab = undefined;
      return undefined;
    }
    if (this.#slab?.isFull !== false) {
      this.#slab?.retire();
      this.#slab = Slab.take();
    }
    return this.#slab.rest;
  }

  read(bytes: Buffer): void {
    const socket = this.#socket;
    const parser = (socket as { readonly parser?: Parser | null }).parser ?? undefined;
    const { response } = this;
    const isNext = response.readableFlowing === true && response.readableLength === 0 && !this.#isOver;
    const isOurs = this.#slab?.has(bytes) === true;
    const slot = parser?.constructor.kOnBody;
    if (!isNext || !isOurs || parser === undefined || typeof slot !== 'number' || typeof parser[slot] !== 'function') {
      socket.emit('data', bytes);
      return;
    }
    const onBody = parser[slot];
    // The parser copies a piece of a body only if there is a listener for it.
    parser[slot] = undefined;
    try {
      socket.emit('data', bytes);
    } finally {
      parser[slot] = onBody;
    }
    const piece = bytes.subarray(0, this.length - this.#received);
    this.#received += piece.length;
    this.take(piece, this.#slab?.hold(bytes.length) ?? (() => undefined));
    if (this.#isOver || response.readableFlowing === true || response.destroyed) return;
    this.#isStopped = true;
    socket.pause();
  }
}

/** Node's own parser of HTTP/1.1: its listeners are numbered properties. */
interface Parser {
  readonly constructor: { readonly kOnBody?: unknown };
  [slot: number]: unknown;
}
