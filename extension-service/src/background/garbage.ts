import type { Config } from '../core/config/model.js';
import { targetsOf } from '../core/config/registries.js';
import type { UsageRecord } from '../core/gc/usage-record.js';
import { namingTarget } from '../kinds/registry-naming.js';
import type { TargetGarbage } from '../kubernetes/usage/garbage-task.js';
import type { LastUses } from '../kubernetes/usage/used-images.js';
import { RegistryError } from '../registry/errors.js';
import type { GarbageResult } from '../targets/garbage/collect-garbage.js';
import { collectTarget } from '../targets/garbage/collect-target.js';
import { UsageStore } from '../targets/garbage/usage-store.js';
import type { Registries } from '../targets/registries.js';

/** Writes usage records to the targets of the current configuration, and deletes from them. */
export interface GarbageCollection {
  /** @param writer the uid of this installation's Lease */
  record(
    config: Config,
    writer: string,
    uses: LastUses,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, UsageRecord>>;
  collect(
    config: Config,
    beforeDelete: (names: readonly string[]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<readonly TargetGarbage[]>;
}

/** A registry that cannot be read only stops gc in that target. Everything is read before the first deletion. */
function unread(error: unknown): GarbageResult {
  if (!(error instanceof RegistryError)) throw error;
  return { refusals: [error.message], rows: [] };
}

export function garbageOf(registries: () => Registries): GarbageCollection {
  return {
    async record(config, writer, uses, signal) {
      const records = new Map<string, UsageRecord>();
      const { cluster } = config.gc;
      if (cluster === undefined || config.dryRun) return records;
      for (const target of targetsOf(config)) {
        const store = new UsageStore(registries().target(target.name), namingTarget(target));
        const usage = { cluster, writer, now: Date.now(), uses: uses.get(target.name) ?? new Map<string, number>() };
        records.set(target.name, await store.update(usage, signal));
      }
      return records;
    },
    async collect(config, beforeDelete, signal) {
      const results: TargetGarbage[] = [];
      for (const target of targetsOf(config)) {
        const naming = namingTarget(target);
        const options = { config, registries: registries(), target, naming, signal, beforeDelete };
        const { refusals, rows } = await collectTarget(options).catch(unread);
        const deleted = rows.filter(({ state }) => state === 'deleted');
        results.push({
          target: target.name,
          refusals,
          deleted: deleted.length,
          bytes: deleted.reduce((sum, row) => sum + row.bytes, 0),
          failures: rows.flatMap(({ state, image, reason }) => (state === 'failed' ? [`${image}: ${reason}`] : [])),
        });
      }
      return results;
    },
  };
}
