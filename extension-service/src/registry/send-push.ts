import { RegistryError } from './errors.js';
import type { PacedAction, RequestPacer } from './pacer.js';
import type { Session, SessionAnswer, SessionRequest } from './transport/session.js';
import type { RequestContext } from './types.js';

export interface PushOptions {
  readonly session: Session;
  readonly pacer?: RequestPacer;
  readonly createRepository?: CreateRepository;
  /** Bytes of a request's body at most, for fronts that limit them. @default a blob goes in one request */
  readonly uploadChunk?: number;
}

/**
 * The registry does not have the repository that is pushed to. Resolves with true when the push is worth another try;
 * rejects with the error that the push shall end with.
 */
export type CreateRepository = (repository: string, signal: AbortSignal | undefined) => Promise<boolean>;

/** One request of a push: under the registry's quotas, and once more when the repository had to be created for it. */
export async function sendPush(
  options: PushOptions,
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
    return pacedSend(options, action, context, request);
  }
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

/** Distribution spec: NAME_UNKNOWN. A 404 that names something else, such as a missing blob, is not a reason to create one. */
function isMissingRepository(error: unknown): boolean {
  if (!(error instanceof RegistryError) || error.kind !== 'missing') return false;
  const codes = error.diagnostics.map(({ code }) => code).filter((code) => code !== '');
  return codes.length === 0 || codes.includes('NAME_UNKNOWN');
}
