import type { OnReadOpts, Socket } from 'node:net';

/** Bytes that one read may bring; node's own sockets read 64 KiB into a new buffer each time. */
const READ_BUFFER_BYTES = 512 * 1024;

/**
 * The `onread` option of sockets: all of them read into one buffer. That is safe because node's HTTP parser takes the bytes
 * within the callback and copies what belongs to a body. See docs/decisions/0010-blob-streaming.md for what it saves.
 */
export const ONE_READ_BUFFER: OnReadOpts = {
  buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
  callback(this: Socket, length: number, buffer: Uint8Array): boolean {
    this.emit('data', (buffer as Buffer).subarray(0, length));
    return true;
  },
};
