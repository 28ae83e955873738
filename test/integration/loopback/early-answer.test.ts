import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it, onTestFinished } from 'vitest';
import { Http } from '../../../extension-service/src/registry/transport/http.js';

/** A server in a separate thread, which answers the first bytes with 413 and resets the connection. */
const SERVER = `
  const { createServer } = require('node:net');
  const { parentPort } = require('node:worker_threads');
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.pause();
      socket.write('HTTP/1.1 413 Too Large\\r\\nContent-Length: 5\\r\\n\\r\\nlarge', () => socket.resetAndDestroy());
    });
  });
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
`;

it('reads the response to a body that the server does not accept, although writing fails first', async () => {
  const server = new Worker(SERVER, { eval: true });
  const http = new Http({ proxy: () => undefined });
  onTestFinished(async () => {
    http.close();
    await server.terminate();
  });
  const [port] = (await once(server, 'message')) as [number];
  const response = await http.send({
    method: 'PUT',
    url: new URL(`http://127.0.0.1:${port}/v2/app/blobs/uploads/1`),
    headers: { 'content-length': '10000000' },
    policy: { key: '', refusal: () => undefined },
    tls: { verify: true },
    body: (request) => {
      request.write(Buffer.alloc(1_000), () => {
        // This thread reads nothing while it waits, so both the response and the reset have arrived when it writes the
        // next bytes.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
        request.write(Buffer.alloc(1_000));
        request.write(Buffer.alloc(1_000));
      });
    },
  });
  expect(response.statusCode).toBe(413);
});
