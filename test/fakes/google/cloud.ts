import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificates } from '../certificates.js';
import type { BuiltImage } from '../images.js';
import { loadImage } from '../images.js';
import { FakeRegistry } from '../registry.js';
import type { FakeRegistryOptions } from '../registry.js';
import { TlsProxy } from '../tls-proxy.js';
import { ArtifactRegistryApi } from './artifact-registry-api.js';
import { AUTH_HOSTS, AuthServers } from './auth-servers.js';
import { DataPlane } from './data-plane.js';
import { MetadataServer } from './metadata-server.js';
import { GoogleTokens } from './tokens.js';

export const TARGET_HOST = 'europe-docker.pkg.dev';
export const SOURCE_HOST = 'us-central1-docker.pkg.dev';
export const API_HOST = 'artifactregistry.googleapis.com';
/** The identity that the metadata server returns. */
export const POD_ACCOUNT = 'mirror@my-project-123.iam.gserviceaccount.com';
/** The API's resource name of the target repository. */
export const TARGET_REPOSITORY = 'projects/my-project-123/locations/europe/repositories/mirror';
export const TARGET_CONFIG = { location: 'europe', projectId: 'my-project-123', repositoryId: 'mirror' } as const;
export const SOURCE_REPOSITORY = 'projects/team-project/locations/us-central1/repositories/apps';
/** A source registry outside Google. */
export const PLAIN_HOST = 'registry.example.com';

/** Permissions of roles/artifactregistry.writer and roles/artifactregistry.admin that the tests use. */
export const WRITER_PERMISSIONS = ['downloadArtifacts', 'uploadArtifacts', 'get'].map(permissionName);
/** Permissions of roles/artifactregistry.repoAdmin. */
export const REPO_ADMIN_PERMISSIONS = [...WRITER_PERMISSIONS, permissionName('deleteArtifacts')];
export const ADMIN_PERMISSIONS = [
  ...WRITER_PERMISSIONS,
  ...['create', 'update', 'getIamPolicy', 'setIamPolicy'].map(permissionName),
];

export function permissionName(name: string): string {
  return `artifactregistry.repositories.${name}`;
}

/**
 * Google's services as a program sees them: token services, the metadata server, Artifact Registry's API, and its
 * registries in front of our fake registries. A program reaches all of them with `env`, as in a cluster behind a proxy.
 */
export class GoogleCloud {
  private constructor(
    readonly tokens: GoogleTokens,
    readonly metadata: MetadataServer,
    readonly proxy: TlsProxy,
    readonly auth: AuthServers,
    readonly api: ArtifactRegistryApi,
    /** The registry behind {@link TARGET_HOST}. */
    readonly target: FakeRegistry,
    /** The registry behind all source hosts. */
    readonly source: FakeRegistry,
    readonly targetPlane: DataPlane,
    readonly sourcePlane: DataPlane,
    /** Container Registry's host names. */
    readonly gcrPlane: DataPlane,
    readonly folder: string,
  ) {}

  /** `target` has the options of the registry behind {@link TARGET_HOST}. */
  static async start(options: { readonly target?: FakeRegistryOptions } = {}): Promise<GoogleCloud> {
    const tokens = new GoogleTokens();
    const tls = await makeCertificates({ hosts: ['localhost'] });
    const [metadata, api, target, source, folder] = await Promise.all([
      MetadataServer.start(tokens, POD_ACCOUNT),
      ArtifactRegistryApi.start(tokens, tls),
      FakeRegistry.start(options.target),
      FakeRegistry.start(),
      mkdtemp(join(tmpdir(), 'image-swapper-google-')),
    ]);
    const proxy = await TlsProxy.start({
      hosts: {
        ...AUTH_HOSTS,
        [API_HOST]: api.restOrigin,
        [TARGET_HOST]: target.origin,
        [SOURCE_HOST]: source.origin,
        'gcr.io': source.origin,
        [PLAIN_HOST]: source.origin,
      },
    });
    const auth = new AuthServers(tokens, proxy);
    const { state } = api;
    state.repositories.set(TARGET_REPOSITORY, {
      name: TARGET_REPOSITORY,
      format: 'DOCKER',
      mode: 'STANDARD_REPOSITORY',
    });
    state.repositories.set(SOURCE_REPOSITORY, {
      name: SOURCE_REPOSITORY,
      format: 'DOCKER',
      mode: 'STANDARD_REPOSITORY',
    });
    state.permissions.set(POD_ACCOUNT, new Set(WRITER_PERMISSIONS));
    const targetPlane = new DataPlane({ host: TARGET_HOST, tokens, state, registry: target });
    const sourcePlane = new DataPlane({ host: SOURCE_HOST, tokens, state });
    const gcrPlane = new DataPlane({ host: 'gcr.io', tokens });
    proxy.setHook('gcr.io', gcrPlane.hook);
    proxy.setHook(TARGET_HOST, targetPlane.hook);
    proxy.setHook(SOURCE_HOST, sourcePlane.hook);
    await writeFile(join(folder, 'ca.crt'), `${proxy.ca}${tls.ca}`);
    return new GoogleCloud(
      tokens,
      metadata,
      proxy,
      auth,
      api,
      target,
      source,
      targetPlane,
      sourcePlane,
      gcrPlane,
      folder,
    );
  }

  /** The environment of a Pod with Workload Identity behind a proxy. */
  get env(): Readonly<Record<string, string>> {
    return { ...this.outside, GCE_METADATA_HOST: this.metadata.host };
  }

  /** The same environment without a metadata server. */
  get outside(): Readonly<Record<string, string>> {
    return {
      HTTPS_PROXY: this.proxy.url,
      NODE_EXTRA_CA_CERTS: join(this.folder, 'ca.crt'),
      HOME: this.folder,
      // Nothing listens there.
      GCE_METADATA_HOST: '127.0.0.1:9',
    };
  }

  /** Puts an image into the source registry {@link PLAIN_HOST}. @returns its name */
  push(image: BuiltImage, name = 'app:1.0'): string {
    const [repository = '', tag = 'latest'] = name.split(':');
    loadImage(this.source, repository, image, tag);
    return `${PLAIN_HOST}/${name}`;
  }

  async writeJson(name: string, content: object): Promise<string> {
    const path = join(this.folder, name);
    await writeFile(path, JSON.stringify(content, undefined, 2));
    return path;
  }

  async close(): Promise<void> {
    const parts = [this.metadata, this.proxy, this.api, this.target, this.source];
    await Promise.all(parts.map((part) => part.close()));
    await rm(this.folder, { recursive: true, force: true });
  }
}
