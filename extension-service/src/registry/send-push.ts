import { RegistryError } from './errors.js';
import type { PacedAction, RequestPacer } from './pacer.js';
import type { RetryTools } from './transport/retry.js';
import type { Session, SessionAnswer, SessionRequest } from './transport/session.js';
import type { RequestContext } from './types.js';

export interface PushOptions {
  readonly session: Session;
  readonly pacer?: RequestPacer;
  readonly createRepository?: CreateRepository;
  /** Maximum bytes of a request body, for proxies that limit them. @default a blob is sent in one request */
  readonly uploadChunk?: number;
}

/**
 * Called if the registry does not have the repository of a push. Resolves with true if the push should be retried;
 * rejects with the error for the push.
 */
export type CreateRepository = (repository: string, signal: AbortSignal | undefined) => Promise<boolean>;

/**
 * Delays in milliseconds before a request is repeated in a repository that was just created. ECR goes on creating it after
 * its answer (hashicorp/terraform-provider-aws#3849).
 */
const RETRY_AFTER_CREATION_MS = [250, 500, 1_000, 2_000];

/** Sends one request of a push: within the registry's quotas, and again if the repository had to be created for it. */
export async function sendPush(
  options: PushOptions & { readonly retryTools: RetryTools },
  repository: string,
  action: PacedAction,
  context: RequestContext | undefined,
  request: SessionRequest,
): Promise<SessionAnswer> {
  try {
    return await pacedSend(options, action, context, request);
  } catch (error) {
    const created = isMissingRepository(error) && (await options.createRepository?.(repository, context?.signal));
    if (created !== true) throw error;
  }
  for (const pause of RETRY_AFTER_CREATION_MS) {
    try {
      return await pacedSend(options, action, context, request);
    } catch (error) {
      if (!isMissingRepository(error)) throw error;
      await options.retryTools.sleep(pause, context?.signal);
      context?.signal?.throwIfAborted();
    }
  }
  return pacedSend(options, action, context, request);
}

async function pacedSend(
  { session, pacer }: PushOptions,
  action: PacedAction,
  context: RequestContext | undefined,
  request: SessionRequest,
): Promise<SessionAnswer> {
  await pacer?.wait(action, context?.signal);
  try {
    return await session.send(request, context);
  } catch (error) {
    if (error instanceof RegistryError && error.kind === 'throttled') pacer?.throttled(action);
    throw error;
  }
}

/** Distribution spec: NAME_UNKNOWN. A 404 with another code, such as a missing blob, is not a reason to create one. */
function isMissingRepository(error: unknown): boolean {
  if (!(error instanceof RegistryError) || error.kind !== 'missing') return false;
  const codes = error.diagnostics.map(({ code }) => code).filter((code) => code !== '');
  return codes.length === 0 || codes.includes('NAME_UNKNOWN');
}
