import type { AwsConfig } from './config.js';
import type { CloudEvent } from '../cloud.js';
import type { AwsClients } from './clients.js';
import type { EcrNames } from './policies.js';

/** Context shared by the parts of one registry. */
export interface EcrContext {
  readonly aws: AwsConfig;
  /** `target NAME`. */
  readonly registry: string;
  readonly host: string;
  readonly names: EcrNames;
  /** Loads the SDK on the first call. */
  readonly clients: () => Promise<AwsClients>;
  readonly onEvent: (event: CloudEvent) => void;
}
