import type { Configuration } from '@kubernetes/client-node';

/** Milliseconds for one request: without it, a connection that died silently would be waited for without end. */
const DEADLINE = 15_000;

/** Options of one call of the client. `contentType` is the kind of a patch, which the client would send as another. */
export async function requestOptions(contentType?: string): Promise<Partial<Configuration>> {
  const { setHeaderMiddleware } = await import('./client.js');
  const { pre, post } =
    contentType === undefined
      ? setHeaderMiddleware('Accept', 'application/json')
      : setHeaderMiddleware('Content-Type', contentType);
  return {
    middleware: [
      {
        pre: (request) => {
          request.setSignal(AbortSignal.timeout(DEADLINE));
          return pre(request);
        },
        post,
      },
    ],
  };
}
