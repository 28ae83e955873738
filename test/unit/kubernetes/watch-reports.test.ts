import { describe, expect, it } from 'vitest';
import { UnknownImages } from '../../../extension-service/src/kubernetes/workloads/unknown-images.js';
import { WatchReports } from '../../../extension-service/src/kubernetes/workloads/watch-reports.js';
import type { WatchReport } from '../../../extension-service/src/kubernetes/workloads/watch-reports.js';
import { createMetrics } from '../../../extension-service/src/telemetry/metrics.js';
import { EMPTY_WATCH_REPORT, showWatches } from '../../../extension-service/src/background/watch-metrics.js';

describe('images of an unknown source', () => {
  it('count once while they are used', () => {
    const unknown = new UnknownImages();
    expect(unknown.put('a', 'Pod', ['x', 'x', 'y'], 1)).toEqual(['x', 'y']);
    expect(unknown.put('b', 'Deployment', ['x'], 1)).toEqual([]);
    expect(unknown.put('a', 'Pod', ['y', 'z'], 1)).toEqual(['z']);
    expect(unknown.size).toBe(3);
    unknown.remove('b');
    expect(unknown.size).toBe(2);
    unknown.put('a', 'Pod', [], 1);
    expect(unknown.size).toBe(0);
  });

  it('are forgotten with objects that a new list does not contain', () => {
    const unknown = new UnknownImages();
    unknown.put('a', 'Pod', ['x'], 1);
    unknown.put('b', 'Pod', ['y'], 1);
    unknown.put('c', 'Deployment', ['z'], 1);
    unknown.put('b', 'Pod', ['y'], 2);
    unknown.prune('Pod', 2);
    expect(unknown.size).toBe(2);
    expect(unknown.put('a', 'Pod', ['x', 'y', 'z'], 2)).toEqual(['x']);
  });
});

describe('reports of watches', () => {
  it('are sent when something has changed, and count each restart once', () => {
    const sent: WatchReport[] = [];
    const reports = new WatchReports((report) => sent.push(report));
    const seen = { up: { Pod: true }, images: 1, unknown: 0, vanished: {} };
    reports.report(seen);
    reports.report(seen);
    expect(sent).toEqual([{ ...seen, restarts: {}, movedTags: {} }]);
    reports.restarted('Pod');
    reports.restarted('Pod');
    reports.report(seen);
    reports.recordMovedTag('default');
    reports.report(seen);
    reports.report({ ...seen, images: 2 });
    expect(sent.slice(1)).toEqual([
      { ...seen, restarts: { Pod: 2 }, movedTags: {} },
      { ...seen, restarts: {}, movedTags: { default: 1 } },
      { ...seen, images: 2, restarts: {}, movedTags: {} },
    ]);
  });

  it('become metrics, of which only the counters remain without watches', async () => {
    const metrics = createMetrics();
    const lines = async (): Promise<string[]> =>
      (await metrics.registry.metrics())
        .split('\n')
        .filter((line) => /^image_swapper_(watch|refresh|wanted|unknown|vanished)/.test(line));
    showWatches(metrics, {
      up: { Pod: true, Job: false },
      restarts: { Job: 2 },
      movedTags: { eu: 3 },
      images: 5,
      unknown: 1,
      vanished: { eu: 2 },
    });
    expect(await lines()).toEqual([
      'image_swapper_watch_up{kind="Pod"} 1',
      'image_swapper_watch_up{kind="Job"} 0',
      'image_swapper_watch_restarts_total{kind="Job"} 2',
      'image_swapper_refresh_drift_total{target="eu"} 3',
      'image_swapper_vanished_sources{target="eu"} 2',
      'image_swapper_wanted_images 5',
      'image_swapper_unknown_images 1',
    ]);
    showWatches(metrics, EMPTY_WATCH_REPORT);
    expect(await lines()).toEqual([
      'image_swapper_watch_restarts_total{kind="Job"} 2',
      'image_swapper_refresh_drift_total{target="eu"} 3',
      'image_swapper_wanted_images 0',
      'image_swapper_unknown_images 0',
    ]);
  });
});
