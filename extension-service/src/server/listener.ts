import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { CONFIG_HASH_HEADER } from '../core/policies/config-hash.js';
import type { Logger } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import { LineBudget } from '../util/line-budget.js';
import type { Answer } from './answer.js';
import type { Caller, CallerRefusal } from './callers.js';
import { errorAnswer, plainText } from './answer.js';
import { ClientGoneError, readBody } from './body.js';
import { internalFailure, requestFailure } from './request-failure.js';
import type { FoundRoute } from './routes.js';

/** In node:http's spelling. */
const HASH_HEADER = CONFIG_HASH_HEADER.toLowerCase();

export interface ListenerDependencies {
  readonly routes: (path: string) => FoundRoute | undefined;
  /** Decides which callers are answered. */
  readonly callers: {
    check(name: FoundRoute['name'], request: IncomingMessage, segment?: string): Promise<Caller | CallerRefusal>;
  };
  /** Everything that is not an admission route. */
  readonly app: RequestListener;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** True once the service is stopping: answers then close their connection. */
  readonly stopping: () => boolean;
}

/**
 * Answers the admission routes before Express: its middleware and body parser would more than halve the throughput (see
 * docs/benchmarks.md). The Content-Type is ignored, because Kyverno sends none.
 */
export function admissionListener(dependencies: ListenerDependencies): RequestListener {
  const lines = new LineBudget(REFUSED_LINES, REFUSED_LINES);
  return (request, response) => {
    const found = request.method === 'POST' ? dependencies.routes(pathOf(request)) : undefined;
    if (found === undefined) {
      dependencies.app(request, response);
      return;
    }
    void serve({ ...dependencies, lines }, found, request, response);
  };
}

/** Log lines for each route and reason. */
const REFUSED_LINES = { burst: 60, perSecond: 1 };

interface ServeDependencies extends ListenerDependencies {
  readonly lines: LineBudget;
}

async function serve(
  { callers, log, lines, metrics, stopping }: ServeDependencies,
  { name, route, segment }: FoundRoute,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let answer: Answer;
  let started: bigint | undefined;
  try {
    const body = await readBody(request);
    started = process.hrtime.bigint();
    const caller = await callers.check(name, request, segment);
    if ('isTrusted' in caller) {
      answer = await route(body, { ...caller, ...hashOf(request) });
    } else {
      started = undefined;
      const { status, code, message } = caller;
      warn({ log, lines }, name, code, plainText(message));
      // The next request then comes on a new connection, with the caller's current certificate.
      answer = { ...errorAnswer(status, code, message), close: true };
    }
  } catch (error) {
    if (error instanceof ClientGoneError) {
      metrics.requests.inc({ route: name, outcome: 'aborted' });
      log.debug({ route: name }, error.message);
      return;
    }
    answer = failure(error, name, { log, lines });
  }
  if (started !== undefined)
    metrics.requestSeconds.observe({ route: name }, Number(process.hrtime.bigint() - started) / 1e9);
  metrics.requests.inc({ route: name, outcome: String(answer.status) });
  write(response, answer, stopping());
}

/** Any client can send requests that are rejected, so not each of them gets a line. */
function warn(
  { log, lines }: Pick<ServeDependencies, 'log' | 'lines'>,
  route: string,
  code: string,
  text: string,
): void {
  const leftOut = lines.take(`${route} ${code}`);
  if (leftOut !== undefined) log.warn({ route, code, ...(leftOut > 0 && { leftOut }) }, text);
}

function failure(error: unknown, route: string, { log, lines }: Pick<ServeDependencies, 'log' | 'lines'>): Answer {
  const failed = requestFailure(error);
  if (failed !== undefined) {
    warn({ log, lines }, route, failed.code, failed.message);
    return failed.answer;
  }
  const err = error instanceof Error ? { message: error.message, stack: error.stack } : String(error);
  log.error({ route, err }, 'internal error');
  return internalFailure();
}

export function write(response: ServerResponse, answer: Answer, close: boolean): void {
  if (response.destroyed) return;
  response.writeHead(answer.status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(answer.body),
    ...((close || answer.close === true) && { Connection: 'close' }),
  });
  response.end(answer.body);
}

function hashOf({ headers }: IncomingMessage): { readonly configHash?: string } {
  const value = headers[HASH_HEADER];
  return typeof value === 'string' ? { configHash: value } : {};
}

function pathOf(request: IncomingMessage): string {
  const url = request.url ?? '/';
  const query = url.indexOf('?');
  return query < 0 ? url : url.slice(0, query);
}
