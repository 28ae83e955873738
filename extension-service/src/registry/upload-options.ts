import type { PushOptions } from './send-push.js';
import type { SinglePosts } from './single-posts.js';
import type { RetryPolicy, RetryTools } from './transport/retry.js';
import type { Descriptor, RequestContext } from './types.js';

/** How to push one blob. */
export interface UploadOptions extends RequestContext {
  /** Another repository of this registry that has the blob. */
  readonly from?: string;
  /** The registry lacks a blob that it had, or that it reported as stored. */
  readonly isRepair?: boolean;
  /** Called with the number of bytes sent so far; restarts at 0 when the upload does. */
  readonly onBytes?: (total: number) => void;
}

export interface UploaderOptions extends PushOptions {
  readonly retry: RetryPolicy;
  readonly retryTools: RetryTools;
  /** Shared by all clients of a registry. */
  readonly singlePosts: SinglePosts;
  /** Asks the registry whether it has a blob. */
  readonly hasBlob: (
    repository: string,
    blob: Pick<Descriptor, 'digest' | 'size'>,
    context: RequestContext,
  ) => Promise<boolean>;
}
