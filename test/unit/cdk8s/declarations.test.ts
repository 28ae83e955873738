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
