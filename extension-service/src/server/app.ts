import type { IncomingMessage } from 'node:http';
import express from 'express';
import type { ErrorRequestHandler, Express, RequestHandler, Response } from 'express';
import { ROUTES } from '../core/engines/routes.js';
import type { Logger } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { MirrorStatus } from '../mirror/status.js';
import { parseJson } from './admission-request.js';
import { errorAnswer, jsonText } from './answer.js';
import type { Answer } from './answer.js';
import { ClientGoneError, readBody } from './body.js';
import { internalFailure, requestFailure } from './request-failure.js';
import { messageOf } from '../util/message-of.js';
import type { CallerRefusal } from './callers.js';

/** Express patterns for the routes that the listener handles first. */
const admissionPaths = Object.values(ROUTES).flatMap(({ path, configHash }) =>
  configHash.in === 'path' ? [path, `${path}/:config`] : [path],
);

export interface AdmissionAppDependencies {
  /** Answers `POST /v1/explain`, as JSON or as text. */
  readonly explain: (body: unknown, output: 'json' | 'text') => Promise<unknown>;
  readonly readers: Readers;
  readonly log: Logger;
}

/** Who may see the service's information about images. */
export interface Readers {
  checkReader(request: IncomingMessage): CallerRefusal | undefined;
}

/** Requests by users on the admission port: explain, and clear responses to everything else. */
export function admissionApp({ explain, readers, log }: AdmissionAppDependencies): Express {
  const app = createApp();
  app.post('/v1/explain', readersOnly(readers), async (request, response) => {
    const body = parseJson(await readBody(request), 'the body');
    if (request.query['output'] === 'text') response.type('text/plain').send(await explain(body, 'text'));
    else send(response, 200, await explain(body, 'json'));
  });
  app.all([...admissionPaths, '/v1/explain'], (request, response) => {
    response.set('Allow', 'POST');
    sendError(response, 405, 'method_not_allowed', `${request.path} accepts only POST`);
  });
  app.use(notFound, failed(log));
  return app;
}

/** The answer of `GET /v1/mirrors`. */
export interface MirrorsAnswer {
  /** The unfinished first. */
  readonly mirrors: readonly MirrorStatus[];
  /** The copying replica, if replicas share the work with a Lease; `holder` is undefined while there is none. */
  readonly leader?: { readonly leading: boolean; readonly holder: string | undefined };
}

export interface OperationsAppDependencies {
  readonly metrics: Metrics;
  /** Called before the metrics are read, to update gauges. */
  readonly refreshGauges: () => void;
  readonly ready: () => boolean;
  readonly mirrors: () => MirrorsAnswer;
  readonly readers: Readers;
  readonly log: Logger;
}

/** The plain HTTP port: probes, metrics, and the state of the mirrors. */
export function operationsApp({
  metrics,
  refreshGauges,
  ready,
  mirrors,
  readers,
  log,
}: OperationsAppDependencies): Express {
  const app = createApp();
  app.get('/healthz', (_request, response) => {
    send(response, 200, { status: 'ok' });
  });
  app.get('/readyz', (_request, response) => {
    const isReady = ready();
    send(response, isReady ? 200 : 503, { status: isReady ? 'ready' : 'stopping' });
  });
  app.get('/metrics', async (_request, response) => {
    refreshGauges();
    response.set('Content-Type', metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  app.get('/v1/mirrors', readersOnly(readers), (_request, response) => {
    send(response, 200, mirrors());
  });
  app.use(notFound, failed(log));
  return app;
}

function createApp(): Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  return app;
}

function readersOnly(readers: Readers): RequestHandler {
  return (request, response, next) => {
    const refusal = readers.checkReader(request);
    if (refusal === undefined) {
      next();
      return;
    }
    // The body, if any, is not read.
    response.set('Connection', 'close');
    sendError(response, refusal.status, refusal.code, refusal.message);
  };
}

const notFound: RequestHandler = (request, response) => {
  sendError(response, 404, 'not_found', `${request.method} ${request.path} does not exist on this port`);
};

function failed(log: Logger): ErrorRequestHandler {
  return (cause: unknown, request, response, next) => {
    if (response.headersSent) {
      next(cause);
      return;
    }
    if (cause instanceof ClientGoneError) return;
    const failure = requestFailure(cause);
    if (failure !== undefined) {
      sendAnswer(response, failure.answer);
      return;
    }
    const { status } = cause as { status?: unknown };
    // A broken escape in the path: an error of the caller, with Express's status.
    if (typeof status === 'number' && status >= 400 && status < 500) {
      sendError(response, status, 'invalid_request', 'invalid request');
      return;
    }
    log.error({ path: request.path, err: messageOf(cause) }, 'internal error');
    sendAnswer(response, internalFailure());
  };
}

function send(response: Response, status: number, value: unknown): void {
  response.status(status).type('application/json').send(jsonText(value));
}

function sendError(response: Response, status: number, code: string, message: string): void {
  sendAnswer(response, errorAnswer(status, code, message));
}

function sendAnswer(response: Response, { status, body, close = false }: Answer): void {
  if (close) response.set('Connection', 'close');
  response.status(status).type('application/json').send(body);
}
