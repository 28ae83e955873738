import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { cacheFolder, makeOnce, run } from './tool.js';

/** Terraform's own HCL parser (compiled to WebAssembly), and typed bindings with the schemas of the providers. */
const PACKAGES = {
  parser: '@cdktf/hcl2json@0.21.0',
  google: '@cdktf/provider-google@16.12.1',
  aws: '@cdktf/provider-aws@21.22.1',
  helm: '@cdktf/provider-helm@12.1.2',
} as const;

export type Provider = 'google' | 'aws' | 'helm';

/** Files of a folder, as hcl2json returns them: `{resource: {TYPE: {NAME: [BODY]}}, variable: {NAME: [BODY]}, …}`. */
export type TerraformFiles = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** Installs the parser and the providers' bindings in the tool cache; they are too large for devDependencies. */
export async function terraformTools(...providers: readonly Provider[]): Promise<TerraformTools> {
  const wanted = [PACKAGES.parser, ...providers.map((provider) => PACKAGES[provider])];
  const folder = cacheFolder(`terraform-${providers.join('-')}`, ...wanted);
  const done = join(folder, 'installed');
  await makeOnce(done, async () => {
    process.stderr.write(`installing ${wanted.join(' and ')} (once for these versions)\n`);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), '{"private": true}');
    const flags = ['--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund'];
    await run('npm', ['install', ...flags, ...wanted], folder);
    await writeFile(`${done}.new`, '');
    await rename(`${done}.new`, done);
  });
  return new TerraformTools(folder, providers);
}

interface Parser {
  convertFiles(folder: string): Promise<TerraformFiles | undefined>;
  parse(name: string, text: string): Promise<TerraformFiles>;
}

export class TerraformTools {
  readonly #parser: Parser;
  readonly #bindings: ReadonlyMap<Provider, string>;

  constructor(
    private readonly folder: string,
    providers: readonly Provider[],
  ) {
    const require = createRequire(join(folder, 'package.json'));
    this.#parser = require('@cdktf/hcl2json') as Parser;
    this.#bindings = new Map(
      providers.map((name) => [name, dirname(require.resolve(`@cdktf/provider-${name}/package.json`))]),
    );
  }

  /** Parses the `*.tf` files of a folder as one. @throws Error with file and line for invalid HCL */
  async parse(folder: string): Promise<TerraformFiles> {
    const files = await this.#parser.convertFiles(folder);
    if (files === undefined) throw new Error(`${folder} has no Terraform files`);
    return files;
  }

  async parseText(text: string): Promise<TerraformFiles> {
    return this.#parser.parse('text.tf', text);
  }

  /** The declarations of a resource or data source; undefined when the provider does not have the type. */
  async declarations(kind: 'resource' | 'data', type: string): Promise<string | undefined> {
    const [provider, bindings] = [...this.#bindings].find(([known]) => type.startsWith(`${known}_`)) ?? [];
    if (provider === undefined || bindings === undefined) return undefined;
    const name = type.slice(provider.length + 1).replaceAll('_', '-');
    const folder = kind === 'data' ? `data-${provider}-${name}` : name;
    return readFile(join(bindings, 'lib', folder, 'index.d.ts'), 'utf8').catch(() => undefined);
  }

  /** Removes the installed packages. */
  async clear(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
