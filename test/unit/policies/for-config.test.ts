import { describe, expect, it } from 'vitest';
import type { Config } from '../../../extension-service/src/core/config/model.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { policiesForConfig } from '../../../extension-service/src/core/engines/for-config.js';
import type { EngineName } from '../../../extension-service/src/core/engines/names.js';
import { configOf, ociTarget } from '../decide/rules-of.js';
import { CA } from './example-options.js';

function secondsOf(engine: EngineName, config: Partial<Config>, timeoutSeconds?: number): string | undefined {
  const given = timeoutSeconds === undefined ? {} : { timeoutSeconds };
  const ca = engine === 'kyverno' ? {} : { caBundle: CA };
  const text = JSON.stringify(
    policiesForConfig(configOf(config), { engine, nameTarget: namingTarget, ...ca, ...given }),
  );
  return /"timeout(?:Seconds)?":(\d+)/.exec(text)?.[1];
}
const force = (registry: string) => ociTarget(registry, { imageCopyPolicy: 'force' });

describe.each(['kyverno', 'kyverno-clusterpolicy', 'webhook'] as const)(
  'the timeout of the policies of %s',
  (engine) => {
    it.each<readonly [string, Partial<Config>, string]>([
      ['is the usual one where nothing waits', { imageCopyDeadline: 20_000 }, '3'],
      ['covers the wait for copies', { imageCopyPolicy: 'immediate', imageCopyDeadline: 20_000 }, '22'],
      ['covers a part of a second', { imageCopyPolicy: 'immediate', imageCopyDeadline: 20_001 }, '23'],
      ['covers the wait of one target', { target: force('a.test'), imageCopyDeadline: 15_000 }, '17'],
      ['covers the wait of one of several', { targets: [force('a.test')], imageCopyDeadline: 15_000 }, '17'],
      [
        'is the usual one where every target says otherwise',
        {
          imageCopyPolicy: 'force',
          target: ociTarget('a.test', { imageCopyPolicy: 'delayed' }),
          imageCopyDeadline: 15_000,
        },
        '3',
      ],
      ['is short where the wait is', { imageCopyPolicy: 'force', imageCopyDeadline: 1_500 }, '4'],
      ['is never shorter than the usual one', { imageCopyPolicy: 'force', imageCopyDeadline: 0 }, '3'],
      ['is never longer than the API server takes', { imageCopyPolicy: 'force', imageCopyDeadline: 60_000 }, '30'],
    ])('%s', (_, config, seconds) => {
      expect(secondsOf(engine, config)).toBe(seconds);
    });

    it('is the one that is given', () => {
      expect(secondsOf(engine, { imageCopyPolicy: 'force', imageCopyDeadline: 20_000 }, 5)).toBe('5');
    });
  },
);

describe('the timeout of the policies of Gatekeeper', () => {
  it('is its own, whatever waits elsewhere', () => {
    expect(secondsOf('gatekeeper', { imageCopyPolicy: 'force', imageCopyDeadline: 20_000 })).toBe('1');
  });
});
