import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { sharedCertificates } from './certificates.js';
import { kubeconfigFor } from './kubeconfig.js';

export interface AskedApi {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** The request body as JSON; undefined without a body. */
  readonly body: unknown;
}

/** An object, or an error's status; with its message, or with a general one. */
export type ApiAnswer = object | number | ApiError;

export interface ApiError {
  readonly status: number;
  readonly message: string;
}

/** A Kubernetes API on loopback that responds with the given object or status. */
export interface AnsweringApi {
  /** A temporary folder for files of the test. */
  readonly folder: string;
  /** Path of the kubeconfig file. */
  readonly kubeconfig: string;
  stop(): Promise<void>;
}

/** @param namespace of the kubeconfig's context */
export async function startAnsweringApi(
  namespace: string,
  answer: (asked: AskedApi) => ApiAnswer,
): Promise<AnsweringApi> {
  const folder = await mkdtemp(join(tmpdir(), 'image-swapper-api-'));
  const { ca, cert, key } = await sharedCertificates(['127.0.0.1']);
  const server = createServer({ cert, key }, (request, response) => {
    void text(request).then((body) => {
      const { pathname, searchParams } = new URL(request.url ?? '', 'https://a');
      const asked = { method: request.method ?? '', path: pathname, query: searchParams };
      const found = answer({ ...asked, body: body === '' ? undefined : (JSON.parse(body) as unknown) });
      const [status, object] = responseOf(found);
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(object));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const kubeconfig = join(folder, 'kubeconfig');
  await writeFile(kubeconfig, kubeconfigFor({ origin, ca, token: 'token' }, namespace));
  return {
    folder,
    kubeconfig,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    },
  };
}

function responseOf(answer: ApiAnswer): readonly [status: number, body: object] {
  if (typeof answer === 'number') return responseOf({ status: answer, message: `fake ${answer}` });
  if ('status' in answer && typeof answer.status === 'number') {
    const { status, message } = answer;
    return [status, { kind: 'Status', code: status, message }];
  }
  return [200, answer];
}
