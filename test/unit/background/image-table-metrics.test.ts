import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { showImageTable } from '../../../extension-service/src/background/image-table-metrics.js';
import { createMetrics } from '../../../extension-service/src/telemetry/metrics.js';

beforeEach(() => {
  vi.useFakeTimers({ now: 1_790_000_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

it('shows the size, the age, the writes and the lag of the table in the API server', async () => {
  const metrics = createMetrics();
  const names = { adopted: [], added: ['a', 'b'], removed: [] };
  showImageTable(metrics, {
    entries: 7,
    length: 310,
    omittedForSpace: 2,
    unquotable: 1,
    writes: 2,
    lag: 4_250,
    ...names,
  });
  vi.advanceTimersByTime(5_000);
  showImageTable(metrics, { entries: 9, length: 370, omittedForSpace: 0, unquotable: 1, writes: 1, lag: 90, ...names });
  const text = await metrics.registry.metrics();
  const values: Record<string, number> = {};
  for (const [, name = '', value] of text.matchAll(/^image_swapper_(table_\w+) (\S+)$/gm)) values[name] = Number(value);
  expect(values).toEqual({
    table_entries: 9,
    table_characters: 370,
    table_left_out: 1,
    table_writes_total: 3,
    table_lag_seconds: 0.09,
    table_written_timestamp_seconds: 1_790_000_005,
  });
});
