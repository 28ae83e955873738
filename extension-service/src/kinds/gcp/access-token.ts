export interface AccessToken {
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly expires: number;
  /** The project that API calls of a user are counted for; sent as x-goog-user-project. */
  readonly quotaProject?: string;
}
