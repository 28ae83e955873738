import { createHash, createHmac } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** The fields of an AWS Signature Version 4. */
export interface SignedScope {
  readonly accessKey: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

export interface SignedRequest {
  readonly method: string;
  /** Path and query, as sent. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Returns undefined when the `Authorization` header does not contain a signature. */
export function readSignature(headers: IncomingHttpHeaders): SignedScope | undefined {
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    );
  if (match === null) return undefined;
  const [, accessKey = '', date = '', region = '', service = '', signedHeaders = '', signature = ''] = match;
  return { accessKey, date, region, service, signedHeaders: signedHeaders.split(';'), signature };
}

/** Returns whether the request was signed with this secret, by the same computation as AWS. */
export function signatureHolds(request: SignedRequest, scope: SignedScope, secretAccessKey: string): boolean {
  const url = new URL(request.target, 'http://host');
  const query = [...url.searchParams].map(([name, value]) => `${escape(name)}=${escape(value)}`).sort();
  const canonical = [
    request.method,
    url.pathname,
    query.join('&'),
    ...scope.signedHeaders.map((name) => `${name}:${String(request.headers[name] ?? '').trim()}`),
    '',
    scope.signedHeaders.join(';'),
    sha256(request.body),
  ].join('\n');
  const credentialScope = `${scope.date}/${scope.region}/${scope.service}/aws4_request`;
  const time = String(request.headers['x-amz-date'] ?? '');
  const toSign = ['AWS4-HMAC-SHA256', time, credentialScope, sha256(canonical)].join('\n');
  let key: Buffer = Buffer.from(`AWS4${secretAccessKey}`);
  for (const part of [scope.date, scope.region, scope.service, 'aws4_request']) key = hmac(key, part);
  return hmac(key, toSign).toString('hex') === scope.signature;
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function escape(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}
