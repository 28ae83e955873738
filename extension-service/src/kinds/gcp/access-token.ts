export interface AccessToken {
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly expires: number;
  /** The project that a user's API calls are billed to; sent as x-goog-user-project. */
  readonly quotaProject?: string;
}
