import type { TableReport } from '../kubernetes/image-table/mirrored-images.js';
import type { Metrics } from '../telemetry/metrics.js';

/** Shows the API server's table of images after a write. */
export function showImageTable(metrics: Metrics, report: TableReport): void {
  metrics.tableEntries.set(report.entries);
  metrics.tableCharacters.set(report.length);
  metrics.tableLeftOut.set(report.omittedForSpace + report.unquotable);
  metrics.tableWrites.inc(report.writes);
  metrics.tableLag.set(report.lag / 1_000);
  metrics.tableWritten.set(Date.now() / 1_000);
}

/** Another replica writes the table from now on, or none. */
export function hideImageTable(metrics: Metrics): void {
  const { tableEntries, tableCharacters, tableLeftOut, tableLag, tableWritten } = metrics;
  for (const gauge of [tableEntries, tableCharacters, tableLeftOut, tableLag, tableWritten]) gauge.set(0);
}
