import { writeFileSync } from 'node:fs';
import { registryKinds } from './cdk8s/registry-kinds.js';

/** Writes the registry kinds for the constructs; `npm run generate` runs this script. */
writeFileSync(new URL('../../cdk8s/src/registry-kinds.ts', import.meta.url), registryKinds());
