import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CHART } from '../tools/helm.js';
import type { Helm } from '../tools/helm.js';

/** A Helm repository on loopback with the packaged chart and the index that Helm generates. */
export class ChartRepository {
  private constructor(
    readonly url: string,
    /** Path of the packaged chart. */
    readonly archive: string,
    private readonly folder: string,
    private readonly server: Server,
  ) {}

  static async start(helm: Helm, chart = CHART): Promise<ChartRepository> {
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-charts-'));
    const told = await helm.ok(['package', chart, '-d', folder]);
    const archive = /saved it to: (.*)/.exec(told)?.[1] ?? '';
    const server = createServer((request, response) => {
      readFile(join(folder, new URL(request.url ?? '/', 'http://localhost').pathname)).then(
        (content) => response.end(content),
        () => response.writeHead(404).end(),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await helm.ok(['repo', 'index', folder, '--url', url]);
    return new ChartRepository(url, archive, folder, server);
  }

  async stop(): Promise<void> {
    await new Promise((resolve) => this.server.close(resolve));
    await rm(this.folder, { recursive: true, force: true });
  }
}
