import { readFile } from 'node:fs/promises';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { text as readText } from 'node:stream/consumers';
import type { ExplainAnswer } from '../server/explain.js';
import { CliError, EXIT } from './exit.js';

const PATIENCE = 15_000;

/**
 * Lets a running service explain: it has the configuration in force there, and knows its copies.
 *
 * @throws CliError naming the address when there is no answer or not the one of a service
 */
export async function askService(url: string, caFile: string | undefined, body: unknown): Promise<ExplainAnswer> {
  const address = explainUrl(url);
  const ca = caFile === undefined ? undefined : await readCa(caFile);
  const text = JSON.stringify(body);
  let answer: { readonly status: number; readonly text: string };
  try {
    answer = await post(address, text, ca);
  } catch (error) {
    const hint = address.protocol === 'https:' && ca === undefined ? '; give --ca-file for a private authority' : '';
    throw new CliError(
      EXIT.infrastructure,
      `${address.href}: ${error instanceof Error ? error.message : String(error)}${hint}`,
    );
  }
  const parsed = parse(answer.text);
  if (answer.status === 200 && Array.isArray(parsed.containers)) return parsed as ExplainAnswer;
  const reason = parsed.error?.message ?? 'this is not the answer of an image-swapper';
  const code = answer.status === 400 ? EXIT.usage : EXIT.infrastructure;
  throw new CliError(code, `${address.href}: ${answer.status}: ${reason}`);
}

function explainUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new CliError(EXIT.usage, `--server ${JSON.stringify(text)}: give a URL such as https://127.0.0.1:8443`);
  }
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/explain`;
  return url;
}

async function post(
  url: URL,
  body: string,
  ca: string | undefined,
): Promise<{ readonly status: number; readonly text: string }> {
  const send = url.protocol === 'https:' ? requestHttps : requestHttp;
  const signal = AbortSignal.timeout(PATIENCE);
  const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const sent = send(url, { method: 'POST', headers, agent: false, signal, ...(ca !== undefined && { ca }) });
    sent.on('error', (error) => reject(signal.aborted ? new Error('no answer within 15 s') : error));
    sent.on('response', (response) => {
      readText(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject);
    });
    sent.end(body);
  });
}

function parse(text: string): { readonly containers?: unknown; readonly error?: { readonly message?: string } } {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

async function readCa(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CliError(EXIT.usage, `--ca-file ${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}
