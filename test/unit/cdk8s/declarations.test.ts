import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, it } from 'vitest';

it('the published declarations name nothing outside the package but its peers', () => {
  const source = fileURLToPath(new URL('../../../cdk8s/src/', import.meta.url));
  const program = ts.createProgram([`${source}index.ts`], {
    declaration: true,
    emitDeclarationOnly: true,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    target: ts.ScriptTarget.ES2023,
    strict: true,
    skipLibCheck: true,
    types: [],
  });
  const imports = new Map<string, string[]>();
  program.emit(undefined, (path, text, _mark, _onError, sources) => {
    const from = sources?.[0]?.fileName ?? '';
    if (!from.startsWith(source)) return;
    imports.set(
      path.split('/').at(-1) ?? '',
      ts.preProcessFile(text).importedFiles.map(({ fileName }) => fileName),
    );
  });
  expect([...imports.keys()].sort()).toContain('index.d.ts');
  for (const [file, specifiers] of imports) {
    for (const specifier of specifiers) {
      const inside = /^\.\/([a-z-]+)\.js$/.exec(specifier)?.[1];
      const known = specifier === 'cdk8s' || specifier === 'constructs' || imports.has(`${inside}.d.ts`);
      expect(known, `${file} imports ${specifier}`).toBe(true);
    }
  }
});

const INLINE = `
import { ImageSwapper, type SwapperConfig } from './index.js';
import type { Chart } from 'cdk8s';

declare const chart: Chart;
new ImageSwapper(chart, 'inline', {
  config: {
    logLevel: 'debug',
    imageSwapPolicy: 'exists',
    imageCopyPolicy: 'delayed',
    source: { filters: [{ jmespath: 'a' }], registries: [{ type: 'oci', oci: { registry: 'a.example.com' } }] },
    targets: [
      { name: 'a', match: 'b', imageSwapPolicy: 'always', oci: { registry: 'a.example.com', insecure: true } },
      { name: 'b', aws: { accountId: '012345678901', region: 'eu-west-1', role: 'c' } },
      { name: 'c', gcp: { location: 'a', projectId: 'b', repositoryId: 'c', createRepository: true } },
    ],
    policies: { engine: 'kyverno' },
  },
});
export const config: SwapperConfig = { mirror: { concurrency: 4 }, target: { oci: { registry: 'a.example.com' } } };
// @ts-expect-error What policies depend on keeps its type.
export const wrong: SwapperConfig = { target: { oci: { registry: 5 } } };
`;

it('a whole configuration can be written inline in TypeScript', () => {
  const source = fileURLToPath(new URL('../../../cdk8s/src/', import.meta.url));
  const file = `${source}inline.test-input.ts`;
  const options: ts.CompilerOptions = {
    noEmit: true,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    target: ts.ScriptTarget.ES2023,
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    types: ['node'],
  };
  const host = ts.createCompilerHost(options);
  const getSourceFile = host.getSourceFile.bind(host);
  const fileExists = host.fileExists.bind(host);
  host.fileExists = (path) => path === file || fileExists(path);
  host.getSourceFile = (path, version, ...more) =>
    path === file ? ts.createSourceFile(path, INLINE, version) : getSourceFile(path, version, ...more);
  const program = ts.createProgram([file], options, host);
  const problems = ts.getPreEmitDiagnostics(program, program.getSourceFile(file));
  expect(problems.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([]);
});
