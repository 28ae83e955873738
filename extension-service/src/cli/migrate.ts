import { resolve } from 'node:path';
import { stringify } from 'yaml';
import { localFiles } from '../config/files.js';
import { codeOf, unreadable } from '../util/unreadable.js';
import { ConfigError, formatProblem } from '../config/problem.js';
import { sizeLimit } from '../config/yaml.js';
import { migrate as migrateText } from '../migrate/migrate.js';
import type { Migrated } from '../migrate/migrate.js';
import type { PolicyEngine } from '../core/config/model.js';
import { engineOf } from '../core/engines/engines.js';
import type { CommandContext } from './context.js';
import { CliError, EXIT } from './exit.js';
import type { OutputFormat } from './output.js';
import { render } from './output.js';
import { readInput } from './read-input.js';

export interface MigrateFlags {
  readonly engine: PolicyEngine;
  readonly output: OutputFormat;
}

/**
 * @returns 0, or 1 if something changes or has no effect: one line each on stderr
 * @throws CliError for an unusable file
 */
export async function migrate(context: CommandContext, path: string, flags: MigrateFlags): Promise<number> {
  const text = await read(context, path);
  let migrated: Migrated;
  try {
    migrated = migrateText({ text, file: path === '-' ? 'stdin' : path, engine: flags.engine });
  } catch (error) {
    if (error instanceof ConfigError) throw new CliError(EXIT.usage, error.message);
    throw error;
  }
  for (const finding of migrated.findings) context.stderr.write(`${formatProblem(finding)}\n`);
  context.stdout.write(render(migrated.values, flags.output, () => withComments(migrated.values, flags.engine)));
  return migrated.findings.length === 0 ? EXIT.ok : EXIT.findings;
}

function withComments(values: Migrated['values'], name: PolicyEngine): string {
  const engine = engineOf({ engine: name });
  return [
    '# Values for the image-swapper chart. To migrate without a gap, see docs/migration.md.',
    `# policies.engine: ${engine?.summary ?? 'you apply the output of image-swapper policies'}.`,
    ...(engine?.retirement === undefined ? [] : [`# ${engine.retirement.summary}.`]),
    ...(engine?.transport?.caller === 'api-server'
      ? [
          '# With Kyverno or Gatekeeper in the cluster, no webhook is needed: use --engine kyverno or --engine gatekeeper.',
        ]
      : []),
    stringify(values, { lineWidth: 0 }),
  ].join('\n');
}

async function read(context: CommandContext, path: string): Promise<string> {
  try {
    if (path !== '-') return Buffer.from(await localFiles.read(resolve(context.cwd, path), sizeLimit + 1)).toString();
    return await readInput(context, path);
  } catch (error) {
    const missing = codeOf(error) === 'ENOENT' ? ': name the values file of your k8s-image-swapper release' : '';
    throw new CliError(EXIT.usage, `${path}: ${unreadable(error)}${missing}`);
  }
}
