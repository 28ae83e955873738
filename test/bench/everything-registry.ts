import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An index without images: complete, so that an audit of it succeeds. */
const BODY = JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [] });

/** A registry that has every requested manifest. */
export class EverythingRegistry {
  readonly looked = new Set<string>();
  private server: Server | undefined;

  async start(): Promise<string> {
    const digest = `sha256:${createHash('sha256').update(BODY).digest('hex')}`;
    const server = createServer((request, response) => {
      const path = request.url ?? '';
      // An audit also reads each manifest.
      if (request.method === 'HEAD') this.looked.add(path);
      const headers = { 'Content-Type': 'application/vnd.oci.image.index.v1+json', 'Docker-Content-Digest': digest };
      response.writeHead(200, { ...headers, 'Content-Length': BODY.length });
      response.end(request.method === 'HEAD' ? undefined : BODY);
    });
    this.server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server?.closeAllConnections();
    await new Promise((resolve) => this.server?.close(resolve) ?? resolve(undefined));
  }
}
