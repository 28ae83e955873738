import { describe, expect, it } from 'vitest';
import { decideGate } from '../../../extension-service/src/core/gate/decide-gate.js';
import type { CheckResult, GateFacts } from '../../../extension-service/src/core/gate/decide-gate.js';
import type { GateConfig } from '../../../extension-service/src/core/config/model.js';

const HOUR = 3_600_000;
const NOW = Date.parse('2026-03-01T12:00:00Z');

const webhook = { url: 'https://scanner.example.com/', timeout: 10_000, onError: 'hold' as const };
const aged: GateConfig = { minimumAge: 72 * HOUR };
const asked: GateConfig = { webhook };
const lenient: GateConfig = { webhook: { ...webhook, onError: 'allow' } };
const verify = { keys: ['/etc/cosign.pub'], identities: [], attestations: [] };
const both: GateConfig = { ...aged, ...asked };

const denied: CheckResult = { state: 'denied', reason: 'CVE-2026-1' };
const failed = (at: number, tries: number): CheckResult => ({ state: 'failed', reason: 'answered 500', at, tries });
const facts = (age: number, result?: CheckResult): GateFacts => ({
  now: NOW,
  firstSeen: NOW - age,
  results: result === undefined ? {} : { webhook: result },
});

describe('a gate', () => {
  it.each<readonly [string, GateConfig, GateFacts, object]>([
    ['without a check lets everything through', {}, facts(0), { state: 'allowed' }],
    [
      'holds a digest that is seen now until it is old enough',
      aged,
      facts(0),
      {
        state: 'held',
        check: 'minimumAge',
        until: NOW + 72 * HOUR,
        reason: 'it was first seen 2026-03-01T12:00:00Z, and minimumAge is 72h',
      },
    ],
    ['holds a digest a millisecond before its time', aged, facts(72 * HOUR - 1), { state: 'held', until: NOW + 1 }],
    ['allows a digest at its time', aged, facts(72 * HOUR), { state: 'allowed' }],
    [
      'begins the age now for a time in the future, as of a clock that was an hour ahead',
      aged,
      facts(-HOUR),
      { state: 'held', until: NOW + 72 * HOUR },
    ],
    ['calls the webhook once', asked, facts(0), { state: 'ask', check: 'webhook' }],
    ['does not ask the webhook about a digest that is too young', both, facts(HOUR), { check: 'minimumAge' }],
    ['calls the webhook for a digest that is old enough', both, facts(80 * HOUR), { state: 'ask', check: 'webhook' }],
    ['allows images that the webhook allows', both, facts(80 * HOUR, { state: 'allowed' }), { state: 'allowed' }],
    [
      'checks again an hour after a temporary denial',
      asked,
      facts(0, { ...denied, at: NOW - HOUR }),
      { state: 'ask', check: 'webhook' },
    ],
    [
      'checks a temporary denial at once when the clock was set back',
      asked,
      facts(0, { ...denied, at: NOW + HOUR }),
      { state: 'ask', check: 'webhook' },
    ],
    [
      'holds after signatures could not be read, whatever onError of the webhook says',
      { verify, ...lenient },
      { ...facts(0), results: { verify: failed(NOW, 1) } },
      { state: 'held', check: 'verify', until: NOW + 30_000 },
    ],
    ['denies within the hour', asked, facts(0, { ...denied, at: NOW - HOUR + 1 }), { state: 'denied' }],
    ['denies what the webhook denies', asked, facts(0, denied), { state: 'denied', reason: 'CVE-2026-1' }],
    [
      'holds after a failure of the webhook, and asks again half a minute later',
      asked,
      facts(0, failed(NOW, 1)),
      { state: 'held', check: 'webhook', reason: 'answered 500', until: NOW + 30_000 },
    ],
    ['checks again after the pause', asked, facts(0, failed(NOW - 30_000, 1)), { state: 'ask' }],
    ['doubles the pause with each failure', asked, facts(0, failed(NOW, 4)), { until: NOW + 240_000 }],
    ['checks again after an hour at the latest', asked, facts(0, failed(NOW, 1_000)), { until: NOW + HOUR }],
    ['checks again at once when the clock was set back', asked, facts(0, failed(NOW + HOUR, 1)), { state: 'ask' }],
    ['allows the image after a failure with onError allow', lenient, facts(0, failed(NOW, 1)), { state: 'allowed' }],
    ['denies with onError allow as well', lenient, facts(0, denied), { state: 'denied' }],
  ])('%s', (_, gate, known, expected) => {
    expect(decideGate(gate, known)).toMatchObject(expected);
  });
});
