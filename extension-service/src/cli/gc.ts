import { targetsOf } from '../core/config/registries.js';
import { namingTarget } from '../kinds/registry-naming.js';
import { RegistryError } from '../registry/errors.js';
import { collectTarget } from '../targets/garbage/collect-target.js';
import type { GarbageRow } from '../targets/garbage/collect-garbage.js';
import { Registries } from '../targets/registries.js';
import type { CommandContext, ConfigFlags } from './context.js';
import { load, registryOptions } from './context.js';
import { CliError, EXIT } from './exit.js';
import { bytes, render, table } from './output.js';
import type { OutputFormat } from './output.js';

export interface GcFlags extends ConfigFlags {
  readonly output: OutputFormat;
}

interface StopReason {
  readonly target: string;
  readonly reasons: readonly string[];
}

/**
 * Deletes images from the targets that no listed cluster has used for `gc.after`; with `dryRun` only shows them.
 *
 * @returns 0, or 1 if a target was skipped or an image could not be deleted
 */
export async function gc(context: CommandContext, flags: GcFlags): Promise<number> {
  const { config } = await load(context, flags);
  if (config.gc.clusters.length === 0)
    throw new CliError(
      EXIT.usage,
      'gc.clusters is empty: name each cluster that uses the targets, and set gc.cluster in each',
    );
  const report = (problem: string): void => void context.stderr.write(`warning: ${problem}\n`);
  const registries = new Registries(config, registryOptions(context, config, report));
  const rows: GarbageRow[] = [];
  const stopped: StopReason[] = [];
  const { signal } = new AbortController();
  try {
    for (const target of targetsOf(config)) {
      const result = await collectTarget({ config, registries, target, naming: namingTarget(target), signal });
      rows.push(...result.rows);
      if (result.refusals.length > 0) stopped.push({ target: target.name, reasons: result.refusals });
    }
  } catch (error) {
    if (error instanceof RegistryError) throw new CliError(EXIT.infrastructure, error.message);
    throw error;
  } finally {
    registries.close();
  }
  context.stdout.write(render({ images: rows, stopped }, flags.output, () => text(rows, stopped)));
  return stopped.length > 0 || rows.some(({ state }) => state === 'failed') ? EXIT.findings : EXIT.ok;
}

function text(rows: readonly GarbageRow[], stopped: readonly StopReason[]): string {
  const deletedRows = rows.filter(({ state }) => state === 'deleted' || state === 'would-delete');
  const sum = deletedRows.reduce((total, row) => total + row.bytes, 0);
  return [
    table(
      rows.map(({ state, image, tags, bytes: size, reason }) => [state, image, tags.join(','), bytes(size), reason]),
    ),
    ...stopped.flatMap(({ target, reasons }) =>
      reasons.map((reason) => `target ${target}: nothing is deleted: ${reason}`),
    ),
    `${deletedRows.length} images, at most ${bytes(sum)}`,
  ]
    .filter((line) => line !== '')
    .join('\n');
}
