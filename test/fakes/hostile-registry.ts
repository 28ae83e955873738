import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, type BuiltImage, type BuiltManifest } from './images.js';
import { sha256 } from './registry-content.js';

/**
 * Intentional faults of the registry; everything else is correct. H2, H5 and H11 have no switch here because they do
 * not involve a registry: callers are in loopback/callers.test.ts (H2: pull secrets of unauthenticated requests; H5:
 * names that are not Kubernetes names; H11: bodies that do not end). H7 and H8 are in
 * integration/attack/attack-addresses.test.ts, H15 in loopback/private-images.test.ts, and H19 in integration/real/chart.
 */
export type Attack =
  /** H1: the tag's digest is a path to another repository. */
  | 'digest-is-a-path'
  | 'digest-without-digits'
  | 'digest-of-another-algorithm'
  /** H18: the tag's digest contains terminal control sequences and template syntax. */
  | 'digest-is-a-command'
  | 'descriptor-is-a-path'
  /** H3: the registry accepts a connection and never responds. */
  | 'never-answers'
  /** H3, H10: a layer arrives one byte at a time. */
  | 'layer-drips'
  /** H4: a manifest has more layers than any real image. */
  | 'layers-without-end'
  /** H6: a manifest lists layers that the registry does not have. */
  | 'layers-of-others'
  /** H9: an error response has a body that does not end. */
  | 'refusal-without-end'
  /** H12: an error response repeats the credentials. */
  | 'echo-of-the-login'
  /** H13: a manifest consists of brackets. */
  | 'brackets'
  /** H14: an image has more referrers than any real image. */
  | 'referrers-without-end'
  /** H17: the challenge names a token server at another site. */
  | 'realm-of-another-site'
  /** H16, H18: the metadata service is the target of a redirect, a token realm, or a blob URL. */
  | 'redirect-to-metadata'
  | 'blobs-at-metadata'
  | 'realm-at-metadata'
  /** H18: the entries of an index have no platform. */
  | 'platform-is-null'
  /** H18: the bytes of a layer do not match its digest. */
  | 'wrong-bytes'
  | 'media-type-is-a-header';

export interface HostileOptions {
  readonly attack: Attack;
  readonly image: BuiltImage;
  /** Descriptor of a layer of another tenant in the target. */
  readonly others?: { readonly digest: string; readonly size: number };
  /** The token realm for `realm-of-another-site`. */
  readonly realm?: string;
}

const COMMAND = 'sha256:\u009b31m{{ request }}';
const ENDLESS_PIECE = Buffer.alloc(16 * 1024, 'x');
const DRIP_PAUSE_MS = 20;
const MAX_LISTED_REFERRERS = 1_000;
const METADATA = 'http://169.254.169.254/latest/meta-data';

/** A registry on loopback with one fault, and a log of its requests. */
export class HostileRegistry {
  readonly log: { readonly method: string; readonly path: string; readonly headers: IncomingHttpHeaders }[] = [];
  readonly #manifests = new Map<string, BuiltManifest>();
  readonly #top: BuiltManifest;

  private constructor(
    private readonly server: Server,
    private readonly options: HostileOptions,
  ) {
    for (const manifest of options.image.manifests) this.#manifests.set(manifest.digest, manifest);
    this.#top = this.#withAttack(options.image.manifests.at(-1) as BuiltManifest);
    this.#manifests.set(this.#top.digest, this.#top);
    server.on('request', (request, response) => this.#answer(request, response));
  }

  static async start(options: HostileOptions): Promise<HostileRegistry> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new HostileRegistry(server, options);
  }

  get host(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Digest of the manifest that the tag names. */
  get digest(): string {
    return this.#top.digest;
  }

  /** Returns the number of open connections. */
  connections(): Promise<number> {
    return new Promise((resolve, reject) =>
      this.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    );
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeAllConnections();
    await closed;
  }

  #withAttack(top: BuiltManifest): BuiltManifest {
    const { attack: hole, image, others } = this.options;
    const [blob] = image.blobs;
    const layer = { mediaType: OCI_LAYER, digest: blob?.digest ?? '', size: blob?.size ?? 0 };
    const config = { ...layer, mediaType: OCI_CONFIG };
    const json = JSON.parse(top.bytes.toString()) as { manifests?: object[] };
    switch (hole) {
      case 'layers-without-end': {
        const layers = Array.from({ length: 20_000 }, (_, n) => ({ ...layer, digest: sha256(Buffer.from(`${n}`)) }));
        return built(OCI_MANIFEST, { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers });
      }
      case 'layers-of-others': {
        const layers = [{ ...layer, ...others }];
        return built(OCI_MANIFEST, { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers });
      }
      case 'descriptor-is-a-path': {
        const layers = [{ ...layer, digest: 'sha256:../../../others/manifests/1' }];
        return built(OCI_MANIFEST, { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers });
      }
      case 'platform-is-null':
        return built(OCI_INDEX, { ...json, manifests: json.manifests?.map((entry) => ({ ...entry, platform: null })) });
      case 'brackets':
        return { mediaType: OCI_INDEX, ...bytesOf(Buffer.from(`{"manifests":${'['.repeat(4_000_000)}`)) };
      case 'media-type-is-a-header':
        return built(OCI_INDEX, { ...json, mediaType: 'application/x\r\nx-injected: 1' });
      default:
        return top;
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent((request.url ?? '').split('?')[0] ?? '');
    this.log.push({ method: request.method ?? '', path, headers: request.headers });
    request.resume();
    response.on('error', () => undefined);
    const [, kind = '', reference = ''] = /\/(manifests|blobs|referrers)\/(.*)$/.exec(path) ?? [];
    if (this.options.attack === 'never-answers' || this.#refuses(kind, request, response)) return;
    if (kind === 'manifests') return this.#manifest(reference, request, response);
    if (kind === 'referrers') return this.#referrers(response);
    if (kind === 'blobs') return this.#blob(reference, request, response);
    response.writeHead(200).end();
  }

  /** Sends responses that are not about an image. Returns true when it has handled the request. */
  #refuses(kind: string, { method, headers }: IncomingMessage, response: ServerResponse): boolean {
    const { attack: hole, realm } = this.options;
    const challenge = (header: string): boolean => {
      response.writeHead(401, { 'www-authenticate': header }).end();
      return true;
    };
    if (hole === 'refusal-without-end' && method === 'GET' && kind === 'manifests') {
      response.writeHead(403);
      const timer = setInterval(() => response.write(ENDLESS_PIECE), 1);
      response.on('close', () => clearInterval(timer));
      return true;
    }
    if (hole === 'echo-of-the-login') {
      if (headers.authorization === undefined) return challenge('Basic realm="x"');
      const message = `unknown login ${headers.authorization}, which is ${decoded(headers.authorization)}`;
      response.writeHead(400).end(JSON.stringify({ errors: [{ code: 'DENIED', message }] }));
      return true;
    }
    const asked = headers.authorization === undefined;
    if (hole === 'realm-of-another-site' && asked) return challenge(`Bearer realm="${realm ?? ''}",service="s"`);
    if (hole === 'realm-at-metadata' && asked) return challenge(`Bearer realm="${METADATA}",service="s"`);
    if (hole === 'redirect-to-metadata' || (hole === 'blobs-at-metadata' && kind === 'blobs')) {
      response.writeHead(307, { location: METADATA }).end();
      return true;
    }
    return false;
  }

  #manifest(reference: string, { method }: IncomingMessage, response: ServerResponse): void {
    const { attack: hole } = this.options;
    const found = reference.includes(':') ? this.#manifests.get(reference) : this.#top;
    if (found === undefined) return void response.writeHead(404).end();
    const attackPaths: Partial<Record<Attack, string>> = {
      'digest-is-a-path': '../../../others/app/manifests/1',
      'digest-without-digits': 'sha256:',
      'digest-of-another-algorithm': 'md5:d41d8cd98f00b204e9800998ecf8427e',
      'digest-is-a-command': COMMAND,
    };
    response.writeHead(200, {
      'content-type': found.mediaType,
      'content-length': found.bytes.length,
      'docker-content-digest': attackPaths[hole] ?? found.digest,
    });
    response.end(method === 'HEAD' ? undefined : found.bytes);
  }

  #referrers(response: ServerResponse): void {
    if (this.options.attack !== 'referrers-without-end') return void response.writeHead(404).end();
    const manifests = Array.from({ length: MAX_LISTED_REFERRERS }, (_, n) => {
      const referrer = built(OCI_MANIFEST, {
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        artifactType: 'application/vnd.example',
        config: {
          mediaType: OCI_CONFIG,
          digest: this.options.image.blobs[0]?.digest,
          size: this.options.image.blobs[0]?.size,
        },
        layers: [],
        annotations: { n: String(n) },
      });
      this.#manifests.set(referrer.digest, referrer);
      return { mediaType: OCI_MANIFEST, digest: referrer.digest, size: referrer.bytes.length };
    });
    const body = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests });
    response.writeHead(200, { 'content-type': OCI_INDEX }).end(body);
  }

  #blob(digest: string, { method }: IncomingMessage, response: ServerResponse): void {
    const blob = this.options.image.blobs.find((one) => one.digest === digest);
    if (blob === undefined) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-length': blob.size });
    if (method === 'HEAD') return void response.end();
    const bytes = Buffer.concat([...blob.chunks(0, blob.size)]);
    if (this.options.attack === 'layer-drips') return drip(response, bytes);
    if (this.options.attack === 'wrong-bytes') bytes[0] = (bytes[0] ?? 0) ^ 1;
    response.end(bytes);
  }
}

function drip(response: ServerResponse, bytes: Buffer): void {
  let sent = 0;
  const timer = setInterval(() => {
    response.write(bytes.subarray(sent, sent + 1));
    sent += 1;
    // The last byte is never sent.
    if (sent >= bytes.length - 1) clearInterval(timer);
  }, DRIP_PAUSE_MS);
  response.on('close', () => clearInterval(timer));
}

function built(mediaType: string, json: object): BuiltManifest {
  return { mediaType, ...bytesOf(Buffer.from(JSON.stringify(json))) };
}

function bytesOf(bytes: Buffer): { readonly bytes: Buffer; readonly digest: string } {
  return { bytes, digest: sha256(bytes) };
}

function decoded(authorization: string): string {
  return Buffer.from(authorization.replace(/^Basic /, ''), 'base64').toString();
}
