/**
 * Whether a Pod may read an image at its source (`source.accessCheck`). Plain data: it is sent by the background
 * worker.
 *
 * `everybody`: the image was read anonymously or with the credentials of `source.registries`. `pod`: with the Pod's own
 * pull secrets.
 */
export type SourceAccess =
  | { readonly state: 'granted'; readonly to: 'everybody' | 'pod'; /** Milliseconds. */ readonly freshFor: number }
  | { readonly state: 'refused'; readonly message: string }
  /** No answer yet, or no valid one. */
  | { readonly state: 'unknown'; readonly message: string };

/** The result if the API server shows no such Pod. */
export const POD_NOT_FOUND = {
  state: 'refused',
  message: 'source.accessCheck is pullSecrets, but the request contains no Pod',
} as const satisfies SourceAccess;
