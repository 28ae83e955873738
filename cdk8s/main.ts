import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { exampleApps } from './example.js';

// cdk8s-cli sets CDK8S_OUTDIR; `npm run policies` runs this directly.
const root = process.env['CDK8S_OUTDIR'] ?? join(__dirname, '..', 'policies');
for (const app of exampleApps(root)) {
  mkdirSync(app.outdir, { recursive: true });
  // What is no longer rendered must not stay behind.
  for (const file of readdirSync(app.outdir)) if (file.endsWith('.yaml')) rmSync(join(app.outdir, file));
  app.synth();
}
