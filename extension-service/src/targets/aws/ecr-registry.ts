import type { AwsConfig } from '../../core/config/model.js';
import { RenewedLogin } from '../../credentials/renewed-login.js';
import { RegistryError } from '../../registry/errors.js';
import type { CloudRegistry } from '../cloud.js';
import type { CloudOptions } from '../clouds.js';
import type { Probe } from '../probe.js';
import { ecrCovers } from './hosts.js';

export class EcrRegistry implements CloudRegistry {
  readonly covers: CloudRegistry['covers'];
  readonly login: RenewedLogin;

  constructor(aws: AwsConfig, name: string, options: CloudOptions) {
    void options;
    this.covers = ecrCovers(aws);
    this.login = new RenewedLogin(() => {
      throw new RegistryError(`${name}: there is no login`, { kind: 'unauthorized', host: name });
    });
  }

  probe(): Promise<readonly Probe[]> {
    return Promise.resolve([]);
  }

  stop(): void {
    this.login.stop();
  }
}
