import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AWS } from '../../../tools/chart/cases.js';
import { CHART, Helm } from '../../../tools/helm.js';
import type { HelmMajor } from '../../../tools/helm.js';
import { goToolsAvailable } from '../../../tools/tool.js';

const available = await goToolsAvailable('values without a section');

/** Mappings that are one value of Kubernetes' own type: null removes them. */
const REMOVABLE = /^(?:config|resources|.*[sS]ecurityContext|.*Probe)$/;

describe.skipIf(!available).each<HelmMajor>([3, 4])('values without a section, Helm %i', (major) => {
  const folder = mkdtempSync(join(tmpdir(), 'image-swapper-sections-'));
  const defaults = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as Readonly<Record<string, unknown>>;
  const sections = Object.keys(defaults).filter(
    (key) =>
      !REMOVABLE.test(key) &&
      !Array.isArray(defaults[key]) &&
      Object.keys((defaults[key] as object | null) ?? {}).length > 0 &&
      typeof defaults[key] === 'object',
  );
  const values = { config: { target: AWS } };
  let helm: Helm;
  beforeAll(async () => {
    helm = await Helm.create({}, major);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('render as with the defaults when a section is null', async () => {
    expect(sections).toContain('networkPolicy');
    const nothing = Object.fromEntries(sections.map((key) => [key, null]));
    const expected = await helm.objects({ values });
    expect(await helm.objects({ values: { ...values, ...nothing } })).toEqual(expected);
    expect(await helm.objects({ values: { ...values, networkPolicy: { egress: null } } })).toEqual(expected);
  });

  // `helm upgrade --reuse-values` takes the defaults of the chart that is installed.
  it('render as with the defaults when the defaults are those of a chart before the section', async () => {
    const chart = join(folder, 'image-swapper');
    cpSync(CHART, chart, { recursive: true });
    const older = Object.entries(defaults).filter(([key]) => !sections.includes(key));
    writeFileSync(join(chart, 'values.yaml'), stringify(Object.fromEntries(older)));
    expect(await helm.objects({ chart, values })).toEqual(await helm.objects({ values }));
  });

  it('render as with the defaults when a parent chart sets the section to null', async () => {
    const parent = join(folder, 'platform');
    mkdirSync(join(parent, 'charts'), { recursive: true });
    cpSync(CHART, join(parent, 'charts', 'image-swapper'), { recursive: true });
    writeFileSync(join(parent, 'Chart.yaml'), stringify({ apiVersion: 'v2', name: 'platform', version: '0.1.0' }));
    const render = async (more: object): Promise<unknown> =>
      helm.objects({ chart: parent, values: { 'image-swapper': { ...values, ...more } } });
    expect(await render({ pdb: null, serviceAccount: null })).toEqual(await render({}));
  });
});
