import type { Config } from '../../core/config/model.js';
import { registriesOf } from '../../core/config/registries.js';
import type { Programs } from './programs.js';

/** The programs that a configuration can need. */
export function neededPrograms(config: Config, programs: Programs): Programs {
  const types = new Set(registriesOf(config).map(({ type }) => type));
  const { kubernetes, aws, gcp, x509 } = programs;
  return {
    ...(kubernetes !== undefined && { kubernetes }),
    ...(aws !== undefined && types.has('aws') && { aws }),
    ...(gcp !== undefined && types.has('gcp') && { gcp }),
    ...(x509 !== undefined && config.tls.mode === 'selfSigned' && { x509 }),
  };
}
