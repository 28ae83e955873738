import type { ConfigurationOptions, ObservableMiddleware, RequestContext } from '@kubernetes/client-node';

/**
 * Options of one request of the client: it ends with the signal, and a PATCH is of the type given.
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
      // The client's declarations name the DOM's AbortSignal; Node's is what its fetch wants.
      request.setSignal(signal);
      if (contentType !== undefined) request.setHeaderParam('Content-Type', contentType);
      if (accept !== undefined) request.setHeaderParam('Accept', accept);
      return new Observable(Promise.resolve(request));
    },
    post: (response) => new Observable(Promise.resolve(response)),
  };
  return { middleware: [middleware], middlewareMergeStrategy: 'append' };
}
