/**
 * A bare node:https server that answers every POST with its own body: it shows the upper limit of the machine and Node.
 */
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

process.once('message', ({ cert, key }: { cert: string; key: string }) => {
  const server = createServer({ cert, key }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length }).end(body);
    });
  });
  server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
});
