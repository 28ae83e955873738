import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AWS } from '../../../tools/chart/cases.js';
import { CHART, Helm, objectOf } from '../../../tools/helm.js';
import type { HelmMajor } from '../../../tools/helm.js';
import { goToolsAvailable } from '../../../tools/tool.js';

const available = await goToolsAvailable('the chart as a dependency of another chart');

describe.skipIf(!available).each<HelmMajor>([3, 4])('the chart as a dependency of another chart, Helm %i', (major) => {
  const parent = mkdtempSync(join(tmpdir(), 'image-swapper-parent-'));
  let helm: Helm;
  beforeAll(async () => {
    helm = await Helm.create({}, major);
    const dependency = (alias: string): object => ({
      name: 'image-swapper',
      version: '*',
      repository: '',
      alias,
      condition: `${alias}.enabled`,
    });
    const chart = { apiVersion: 'v2', name: 'platform', version: '0.1.0' };
    mkdirSync(join(parent, 'charts'));
    cpSync(CHART, join(parent, 'charts', 'image-swapper'), { recursive: true });
    writeFileSync(
      join(parent, 'Chart.yaml'),
      stringify({ ...chart, dependencies: [dependency('imageSwapper'), dependency('other_swapper')] }),
    );
  });
  afterAll(() => rmSync(parent, { recursive: true, force: true }));

  /** Names of the Deployments and Services. */
  async function namesFor(values: object): Promise<string[]> {
    const objects = await helm.objects({ chart: parent, release: 'platform', values });
    return objects
      .filter(({ kind }) => kind === 'Deployment' || kind === 'Service')
      .map(({ kind, metadata }) => `${kind} ${metadata.name}`)
      .sort();
  }

  it('is rendered only when its condition is true', async () => {
    const on = { enabled: true, config: { target: AWS } };
    expect(await namesFor({ imageSwapper: on, other_swapper: { ...on, enabled: false } })).toEqual([
      'Deployment platform-image-swapper',
      'Service platform-image-swapper',
    ]);
  });

  it('uses the pull secrets of the parent chart too, as names or as mappings', async () => {
    const values = { enabled: true, config: { target: AWS }, prewarm: { enabled: true } };
    const imageSwapper = { ...values, imagePullSecrets: ['own', { name: 'shared' }] };
    const global = { imagePullSecrets: ['shared', { name: 'parent' }] };
    const other_swapper = { enabled: false };
    const objects = await helm.objects({ chart: parent, values: { global, imageSwapper, other_swapper } });
    const imagePullSecrets = [{ name: 'own' }, { name: 'shared' }, { name: 'parent' }];
    for (const kind of ['Deployment', 'Job']) {
      expect(objectOf(objects, kind)).toMatchObject({ spec: { template: { spec: { imagePullSecrets } } } });
    }
  });

  it('has valid and different object names under aliases that are not DNS labels', async () => {
    const on = { enabled: true, config: { target: AWS } };
    const other_swapper = { ...on, config: { ...on.config, policies: { name: 'other' } } };
    expect(await namesFor({ imageSwapper: on, other_swapper })).toEqual([
      'Deployment platform-image-swapper',
      'Deployment platform-other-swapper',
      'Service platform-image-swapper',
      'Service platform-other-swapper',
    ]);
  });

  it.each([{}, { manage: true }, { engine: 'gatekeeper' }])(
    'refuses two aliases with one policy name: %j',
    async (policies) => {
      const on = { enabled: true, config: { target: AWS }, policies };
      const both = (name: string): object => ({
        imageSwapper: on,
        other_swapper: { ...on, config: { ...on.config, policies: { name } } },
      });
      const { code, stderr } = await helm.template({
        chart: parent,
        release: 'platform',
        values: both('image-swapper'),
      });
      expect(stderr).toContain(
        'config.policies.name: the policies of platform-image-swapper and platform-other-swapper in this release are both named image-swapper',
      );
      expect(stderr).toContain('set another config.policies.name in one of the two');
      expect(code).toBe(1);
      expect(await helm.template({ chart: parent, release: 'platform', values: both('other') })).toMatchObject({
        code: 0,
      });
    },
  );

  it('accepts one policy name twice when one of both has no policies', async () => {
    const on = { enabled: true, config: { target: AWS } };
    const values = { imageSwapper: on, other_swapper: { ...on, policies: { engine: 'none' } } };
    expect(await helm.template({ chart: parent, release: 'platform', values })).toMatchObject({ code: 0 });
  });
});
