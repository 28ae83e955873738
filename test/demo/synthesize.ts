import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Chart } from 'cdk8s';
import { parse } from 'yaml';
import { KyvernoClusterPolicy, KyvernoMutatingPolicy } from '../../cdk8s/src/index.js';

export interface SynthesizedPolicies {
  readonly clusterPolicy: unknown;
  readonly mutatingPolicy: unknown;
}

/** Synthesizes both Kyverno policies with cdk8s, writes them to files as `cdk8s synth` does, and reads them back. */
export async function synthesize(options: {
  url: string;
  ca: string;
  targets: readonly string[];
}): Promise<SynthesizedPolicies> {
  const outdir = await mkdtemp(join(tmpdir(), 'image-swapper-demo-'));
  try {
    const app = new App({ outdir });
    const { url, ca, targets } = options;
    new KyvernoClusterPolicy(new Chart(app, 'clusterpolicy'), 'policy', { url, targets, caBundle: ca });
    new KyvernoMutatingPolicy(new Chart(app, 'mutatingpolicy'), 'policy', { url, targets });
    app.synth();
    const [clusterPolicy, mutatingPolicy] = await Promise.all(
      ['clusterpolicy', 'mutatingpolicy'].map(async (name) => {
        return parse(await readFile(join(outdir, `${name}.k8s.yaml`), 'utf8')) as unknown;
      }),
    );
    return { clusterPolicy, mutatingPolicy };
  } finally {
    await rm(outdir, { recursive: true });
  }
}
