import { describe, expect, it } from 'vitest';
import { policiesForConfig } from '../../../extension-service/src/core/engines/for-config.js';
import { ENGINE_NAMES } from '../../../extension-service/src/core/engines/names.js';
import type { EngineName } from '../../../extension-service/src/core/engines/names.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { parse, target } from '../config/parsing.js';

const SECRET = 'caller-word-caller-word-caller-word';
const PATH = '0123456789abcdef0123456789abcdef';
const CA = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';

function rendered(engine: EngineName, auth: string): string {
  // This test does not have an image table. Without one, an engine that makes no calls requires `always` to swap.
  const { config } = parse(`${target}${auth}imageSwapPolicy: always\n`);
  const needsCa = engine === 'gatekeeper' || engine === 'kyverno-clusterpolicy';
  const url = 'https://image-swapper.image-swapper.svc:8443';
  return JSON.stringify(
    policiesForConfig(config, { engine, nameTarget: namingTarget, url, ...(needsCa && { caBundle: CA }) }),
  );
}

describe('policies authenticate callers to the service', () => {
  it('by a header that a MutatingPolicy reads from a Secret, without the value in the policy', () => {
    const policy = rendered('kyverno', `auth: {kyverno: {secret: ${SECRET}, secretNamespace: policies}}\n`);
    expect(policy).toContain(
      JSON.stringify('string(resource.Get("v1", "secrets", "policies", "image-swapper-caller").data.secret)'),
    );
    expect(policy).toContain(JSON.stringify('"Image-Swapper-Secret": variables.caller})').slice(1, -1));
    expect(policy).not.toContain(SECRET);
  });

  it('by the same header when the configuration only names the Secret', () => {
    expect(rendered('kyverno', 'auth: {kyverno: {secretName: theirs}}\n')).toContain('\\"kyverno\\", \\"theirs\\"');
  });

  it('by a secret path, in front of the hash of the configuration', () => {
    const policy = rendered('webhook', `auth: {webhook: {path: ${PATH}}}\n`);
    expect(policy).toMatch(new RegExp(`"path":"/webhook/${PATH}/[0-9a-f]{12}"`));
  });

  it.each(ENGINE_NAMES)('not without auth: %s', (engine) => {
    const policy = rendered(engine, '');
    expect(policy).not.toContain('resource.Get');
    expect(policy).not.toContain('Image-Swapper-Secret');
  });
});
