import { readdirSync, readFileSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { post } from '../../fakes/https-client.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { RunningService } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';

/** Nice values of all threads of a process, as the kernel reports them. */
function niceValues(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
  });
}

it.skipIf(process.platform !== 'linux')('only the background worker gives way to admissions', async () => {
  const target = await FakeRegistry.start();
  const oci = { registry: target.host, insecure: true };
  const config = JSON.stringify({ target: { type: 'oci', oci } });
  const service = await RunningService.start({ config });
  onTestFinished(async () => {
    await service.stop();
    await target.close();
  });
  // A copy starts the worker.
  const object = { spec: { containers: [{ name: 'app', image: 'quay.invalid/app:1.0' }] } };
  const body = JSON.stringify({ request: { operation: 'CREATE', namespace: 'default', object } });
  await post(`${service.url}/v1/kyverno`, body, { ca: service.ca });
  const lowered = (): number => niceValues(service.process.pid ?? 0).filter((nice) => nice === 10).length;
  await until('the background worker runs', () => lowered() > 0);
  const values = niceValues(service.process.pid ?? 0);
  const usual = niceValues(process.pid)[0];
  expect(values.filter((nice) => nice === 10)).toHaveLength(1);
  expect(values.filter((nice) => nice !== 10).every((nice) => nice === usual)).toBe(true);
});
