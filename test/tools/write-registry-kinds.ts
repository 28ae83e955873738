import { writeFileSync } from 'node:fs';
import { registryKinds } from './cdk8s/registry-kinds.js';

/** Writes what the constructs know of the kinds of registries; `npm run generate` runs it. */
writeFileSync(new URL('../../cdk8s/src/registry-kinds.ts', import.meta.url), registryKinds());
