import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { hideImageTable, showImageTable } from '../../../extension-service/src/background/image-table-metrics.js';
import { createMetrics } from '../../../extension-service/src/telemetry/metrics.js';
import type { Metrics } from '../../../extension-service/src/telemetry/metrics.js';

const FIRST_WRITE = { entries: 7, length: 310, omittedForSpace: 2, unquotable: 1, writes: 2, lag: 4_250 };

beforeEach(() => {
  vi.useFakeTimers({ now: 1_790_000_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

async function tableMetrics(metrics: Metrics): Promise<Record<string, number>> {
  const text = await metrics.registry.metrics();
  const values: Record<string, number> = {};
  for (const [, name = '', value] of text.matchAll(/^image_swapper_(table_\w+) (\S+)$/gm)) values[name] = Number(value);
  return values;
}

it('shows the size, the age, the writes and the lag of the table in the API server', async () => {
  const metrics = createMetrics();
  const names = { adopted: [], added: ['a', 'b'], removed: [] };
  showImageTable(metrics, { ...FIRST_WRITE, ...names });
  vi.advanceTimersByTime(5_000);
  showImageTable(metrics, { entries: 9, length: 370, omittedForSpace: 0, unquotable: 1, writes: 1, lag: 90, ...names });
  expect(await tableMetrics(metrics)).toEqual({
    table_entries: 9,
    table_characters: 370,
    table_left_out: 1,
    table_writes_total: 3,
    table_lag_seconds: 0.09,
    table_written_timestamp_seconds: 1_790_000_005,
    table_unread_total: 0,
  });
});

it('shows 0, and the writes so far, once another replica writes the table', async () => {
  const metrics = createMetrics();
  const names = { adopted: [], added: ['a'], removed: [] };
  showImageTable(metrics, { ...FIRST_WRITE, ...names });
  hideImageTable(metrics);
  const { table_writes_total: writes, ...others } = await tableMetrics(metrics);
  expect(writes).toBe(2);
  expect(others).toEqual({
    table_entries: 0,
    table_characters: 0,
    table_left_out: 0,
    table_lag_seconds: 0,
    table_written_timestamp_seconds: 0,
    table_unread_total: 0,
  });
});
