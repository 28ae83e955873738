import { join } from 'node:path';
import { App, Chart, Yaml } from 'cdk8s';
import { ImageSwapper, type SwapperConfig } from '@image-swapper/cdk8s';

const [config] = Yaml.load(join(__dirname, 'image-swapper.yaml')) as [SwapperConfig];
const app = new App({ outdir: process.env['CDK8S_OUTDIR'] ?? 'dist', outputFileExtension: '.yaml' });

// Clusters with Kyverno ask over plain HTTP, which the NetworkPolicy of the service's chart guards; the others have no
// policy engine.
new ImageSwapper(new Chart(app, 'production'), 'image-swapper', { config, engine: 'kyverno', networkPolicy: false });
new ImageSwapper(new Chart(app, 'edge'), 'image-swapper', {
  config,
  engine: 'webhook',
  tls: 'public',
  url: 'https://image-swapper.platform.example.com',
});

app.synth();
