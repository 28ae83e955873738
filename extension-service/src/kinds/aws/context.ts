import type { AwsConfig } from './config.js';
import type { CloudEvent } from '../cloud.js';
import type { AwsClients } from './clients.js';
import type { EcrNames } from './policies.js';

/** Context that the parts of one registry share. */
export interface EcrContext {
  readonly aws: AwsConfig;
  /** `target NAME`. */
  readonly registry: string;
  readonly host: string;
  readonly names: EcrNames;
  /** Loads the SDK when it is first called. */
  readonly clients: () => Promise<AwsClients>;
  readonly onEvent: (event: CloudEvent) => void;
}
