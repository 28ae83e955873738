import type { Config } from '../../core/config/model.js';
import { registriesOf, targetsOf } from '../../core/config/registries.js';
import type { Programs } from './programs.js';
import { REGISTRY_KINDS } from '../../kinds/kinds.js';

/** The programs that a configuration can need. */
export function neededPrograms(config: Config, programs: Programs): Programs {
  const used = new Set<string>(registriesOf(config).map(({ type }) => type));
  const unused = new Set(REGISTRY_KINDS.map(({ type }) => type).filter((type) => !used.has(type)));
  if (config.tls.mode !== 'selfSigned') unused.add('x509');
  if (config.queue.type === 'memory') unused.add('bullmq');
  if (!targetsOf(config).some(({ gate }) => gate?.verify !== undefined)) unused.add('sigstore');
  return Object.fromEntries(Object.entries(programs).filter(([name]) => !unused.has(name)));
}
