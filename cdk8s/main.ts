import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { exampleApps, exampleSuites } from './example.js';

// cdk8s-cli sets CDK8S_OUTDIR; `npm run policies` runs this directly.
const root = process.env['CDK8S_OUTDIR'] ?? join(__dirname, '..', 'policies');
for (const app of exampleApps(root)) {
  mkdirSync(app.outdir, { recursive: true });
  // Remove files that are no longer rendered.
  for (const file of readdirSync(app.outdir)) if (file.endsWith('.yaml')) rmSync(join(app.outdir, file));
  rmSync(join(app.outdir, 'tests'), { recursive: true, force: true });
  app.synth();
}
for (const [path, text] of Object.entries(exampleSuites())) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}
