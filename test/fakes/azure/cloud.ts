import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BuiltImage } from '../images.js';
import { loadImage } from '../images.js';
import { FakeRegistry } from '../registry.js';
import { TlsProxy } from '../tls-proxy.js';
import { AcrPlane } from './acr-plane.js';
import { CLIENT, ENTRA_HOST, FakeEntra, TENANT } from './entra.js';

export const TARGET_HOST = 'contoso.azurecr.io';
/** An endpoint of one geo-replica of the target. */
export const REGIONAL_HOST = 'contoso.eastus.geo.azurecr.io';
/** A registry of another owner. */
export const OTHER_HOST = 'fabrikam.azurecr.io';
/** A source registry outside Azure. */
export const PLAIN_HOST = 'registry.example.com';

/** Azure's services as a program sees them: Microsoft Entra, and Azure's registries in front of our fake registries. */
export class AzureCloud {
  private constructor(
    readonly entra: FakeEntra,
    readonly proxy: TlsProxy,
    /** The registry behind {@link TARGET_HOST}. */
    readonly target: FakeRegistry,
    /** The registry behind all source hosts. */
    readonly source: FakeRegistry,
    readonly targetPlane: AcrPlane,
    readonly otherPlane: AcrPlane,
    readonly folder: string,
  ) {}

  static async start(): Promise<AzureCloud> {
    const entra = new FakeEntra();
    const [target, source, folder] = await Promise.all([
      FakeRegistry.start(),
      FakeRegistry.start(),
      mkdtemp(join(tmpdir(), 'image-swapper-azure-')),
    ]);
    const hosts = {
      [ENTRA_HOST]: undefined,
      [TARGET_HOST]: target.origin,
      [REGIONAL_HOST]: target.origin,
      [OTHER_HOST]: source.origin,
      [PLAIN_HOST]: source.origin,
    };
    const proxy = await TlsProxy.start({ hosts });
    const [targetPlane, otherPlane] = [new AcrPlane(TARGET_HOST, entra), new AcrPlane(OTHER_HOST, entra)];
    proxy.setHook(ENTRA_HOST, entra.hook);
    proxy.setHook(TARGET_HOST, targetPlane.hook);
    proxy.setHook(REGIONAL_HOST, targetPlane.hookAt(REGIONAL_HOST));
    proxy.setHook(OTHER_HOST, otherPlane.hook);
    const cloud = new AzureCloud(entra, proxy, target, source, targetPlane, otherPlane, folder);
    await cloud.writeToken(entra.assertion);
    return cloud;
  }

  /** The variables that the workload identity webhook sets in a Pod, and those of the proxy. */
  get env(): Readonly<Record<string, string>> {
    return {
      ...this.proxy.env,
      HOME: this.folder,
      AZURE_TENANT_ID: TENANT,
      AZURE_CLIENT_ID: CLIENT,
      AZURE_AUTHORITY_HOST: `https://${ENTRA_HOST}/`,
      AZURE_FEDERATED_TOKEN_FILE: this.tokenFile,
    };
  }

  get tokenFile(): string {
    return join(this.folder, 'azure-identity-token');
  }

  /** Replaces the ServiceAccount token, as the kubelet does. */
  async writeToken(text: string): Promise<void> {
    await writeFile(this.tokenFile, text);
  }

  /** Puts an image into the source registry {@link PLAIN_HOST}. @returns its name */
  push(image: BuiltImage, name = 'app:1.0'): string {
    const [repository = '', tag = 'latest'] = name.split(':');
    loadImage(this.source, repository, image, tag);
    return `${PLAIN_HOST}/${name}`;
  }

  /** Every secret of the fake cloud, to search for in logs. */
  secrets(): readonly string[] {
    return [...this.entra.tokens(), ...this.targetPlane.issued, this.entra.assertion];
  }

  async close(): Promise<void> {
    await Promise.all([this.proxy, this.target, this.source].map((part) => part.close()));
    await rm(this.folder, { recursive: true, force: true });
  }
}
