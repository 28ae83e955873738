import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { BUNDLE } from '../fakes/service.js';
import { blocks } from '../tools/docs.js';
import { kustomizeProgram } from '../tools/kustomize.js';
import { goToolsAvailable } from '../tools/tool.js';

const run = promisify(execFile);
const available = await goToolsAvailable('swap as a function of kustomize');

const MANIFESTS = `# Of the team of the shop.
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  template:
    spec:
      containers:
        - { name: web, image: nginx:1 }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings, namespace: shop }
data: { image: "nginx:1" }
`;

/** Returns the code block of docs/gitops.md that has all these words. */
function documented(language: string, text: string): string {
  const words = text.split(' ');
  const [found, ...more] = blocks('docs/gitops.md', language).filter((block) =>
    words.every((word) => block.split(/\s+/).includes(word)),
  );
  if (found === undefined || more.length > 0) throw new Error(`docs/gitops.md: not one block with ${text}`);
  return found;
}

/** The tests use the exact files of docs/gitops.md. */
describe.runIf(available)('swap as a function of kustomize', () => {
  let folder: string;
  let program: string;
  let args: readonly string[];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'image-swapper-kustomize-'));
    program = await kustomizeProgram();
    const script = documented('sh', 'exec image-swapper swap -f -');
    const swap = documented('yaml', 'kind: Swap');
    [, ...args] = documented('sh', 'kustomize build --enable-exec').trim().split(' ');
    const target = { type: 'oci', oci: { registry: 'harbor.test', prefix: 'mirror' } };
    const files = {
      'swap.sh': script,
      'swap.yaml': swap,
      'image-swapper.yaml': stringify({ target }),
      'kustomization.yaml': stringify({ resources: ['web.yaml'], transformers: ['swap.yaml'] }),
      'image-swapper': `#!/bin/sh\nexec '${process.execPath}' '${BUNDLE}' "$@"\n`,
      'web.yaml': MANIFESTS,
    };
    await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)));
    await Promise.all(['swap.sh', 'image-swapper'].map((name) => chmod(join(folder, name), 0o755)));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function build(): Promise<string> {
    const env = { ...process.env, PATH: `${folder}${delimiter}${process.env['PATH'] ?? ''}` };
    return (await run(program, args, { cwd: folder, env })).stdout;
  }

  it('changes the images that it builds, and nothing else', async () => {
    const wanted = MANIFESTS.replace('image: nginx:1', 'image: harbor.test/mirror/docker.io/library/nginx:1');
    const objects = (text: string): unknown[] => parseAllDocuments(text).map((document) => document.toJS() as unknown);
    expect(objects(await build())).toEqual(expect.arrayContaining(objects(wanted)));
    expect(objects(await build())).toHaveLength(2);
  });

  it('fails the build with the location of an image that is not a reference', async () => {
    await writeFile(join(folder, 'web.yaml'), MANIFESTS.replace('image: nginx:1', 'image: Nginx:1'));
    await expect(build()).rejects.toThrow(/Nginx:1/);
  });
});
