import type { GcpConfig } from '../../core/config/model.js';
import { RenewedLogin } from '../../credentials/renewed-login.js';
import { RegistryError } from '../../registry/errors.js';
import type { CloudRegistry } from '../cloud.js';
import type { CloudOptions } from '../clouds.js';
import type { Probe } from '../probe.js';
import { artifactRegistryCovers } from './hosts.js';

/** A repository of Google Artifact Registry. */
export class ArtifactRegistry implements CloudRegistry {
  readonly covers: CloudRegistry['covers'];
  readonly login: RenewedLogin;

  constructor(gcp: GcpConfig, name: string, options: CloudOptions) {
    void options;
    this.covers = artifactRegistryCovers(gcp);
    this.login = new RenewedLogin(() => {
      throw new RegistryError(`${name}: there is no login for Artifact Registry yet`, {
        kind: 'unauthorized',
        host: name,
      });
    });
  }

  probe(): Promise<readonly Probe[]> {
    return Promise.resolve([]);
  }

  stop(): void {
    this.login.stop();
  }
}
