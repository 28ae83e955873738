import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../extension-service/src/config/parse.js';
import { ENGINES } from '../../extension-service/src/core/engines/engines.js';
import { policiesForConfig } from '../../extension-service/src/core/engines/for-config.js';
import { ENGINE_NAMES } from '../../extension-service/src/core/engines/names.js';
import { namingTarget } from '../../extension-service/src/kinds/registry-naming.js';
import { AUTHORITY as CA } from '../tools/chart/cases.js';
import { read } from '../tools/docs.js';

const page = read('docs/upgrade.md');
const { config } = parseConfig({
  text: 'imageSwapPolicy: always\ntarget: {oci: {registry: r.example.com}}\n',
  file: 'image-swapper.yaml',
});

/** Objects that make an engine send requests. A Provider or a certificate alone does not. */
const SENDERS = [
  'MutatingPolicy',
  'ClusterPolicy',
  'MutatingWebhookConfiguration',
  'Assign',
  'MutatingAdmissionPolicy',
];

describe('docs/upgrade.md switches off', () => {
  it.each(ENGINE_NAMES)('every policy of %s', (engine) => {
    const command = new RegExp(`\\| \`${engine}\` \\| \`kubectl delete (\\S+) ([^\`]+)\` \\|`).exec(page);
    const [, resource = '', selection = ''] = command ?? [];
    const objects = policiesForConfig(config, {
      engine,
      failClosed: false,
      name: config.policies.name,
      nameTarget: namingTarget,
      url: 'https://image-swapper.image-swapper.svc:8443',
      ...(ENGINES[engine].transport?.ca.required === true && { caBundle: CA }),
    }).filter(({ kind }) => SENDERS.includes(kind));
    expect(objects.length).toBeGreaterThan(0);
    for (const { apiVersion, kind, metadata } of objects) {
      const [group = ''] = apiVersion.split('/');
      const plural = kind.toLowerCase().replace(/y$/, 'ies');
      expect([`${plural}.${group}`, plural, kind.toLowerCase(), `${kind.toLowerCase()}.${group}`]).toContain(resource);
      const [, label, value] = /^--selector (\S+)=(\S+)$/.exec(selection) ?? [];
      if (label === undefined) expect(selection.split(' ')).toContain(metadata.name);
      else expect(metadata.labels).toMatchObject({ [label]: value });
    }
  });
});
