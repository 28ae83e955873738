import type { ConfigurationOptions, ObservableMiddleware, RequestContext } from '@kubernetes/client-node';

/**
 * Options for one request of the client: it ends with the signal, and a PATCH has the given type.
 *
 * @param accept media type of the answer
 */
export async function requestOptions(
  signal: AbortSignal,
  contentType?: string,
  accept?: string,
): Promise<ConfigurationOptions> {
  const { Observable } = await import('./client.js');
  const middleware: ObservableMiddleware = {
    pre: (request: RequestContext) => {
      // The client's declarations use the DOM's AbortSignal; Node's fetch needs Node's.
      request.setSignal(signal);
      if (contentType !== undefined) request.setHeaderParam('Content-Type', contentType);
      if (accept !== undefined) request.setHeaderParam('Accept', accept);
      return new Observable(Promise.resolve(request));
    },
    post: (response) => new Observable(Promise.resolve(response)),
  };
  return { middleware: [middleware], middlewareMergeStrategy: 'append' };
}
