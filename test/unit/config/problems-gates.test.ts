import { describe, expect, it } from 'vitest';
import { oci, parse, problemsOf } from './parsing.js';

describe('problems with gates', () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      'beside imageSwapPolicy always of the target',
      oci('  imageSwapPolicy: always\n  gate: {minimumAge: 72h}\n'),
      [
        '6:3: target.gate: conflicts with imageSwapPolicy always, which swaps images that the gate has not let through: set imageSwapPolicy: exists for this target',
      ],
    ],
    [
      'beside the general imageSwapPolicy always',
      `imageSwapPolicy: always\n${oci('  gate: {minimumAge: 72h}\n')}`,
      [
        '6:3: target.gate: conflicts with imageSwapPolicy always, which swaps images that the gate has not let through: set imageSwapPolicy: exists for this target',
      ],
    ],
    [
      'beside always in one of several targets',
      'targets:\n  - {name: a, match: "`true`", oci: {registry: a.example}, gate: {minimumAge: 1h}}\n  - {name: b, oci: {registry: b.example}, imageSwapPolicy: always, gate: {minimumAge: 1h}}\n',
      [
        '3:68: targets[1].gate: conflicts with imageSwapPolicy always, which swaps images that the gate has not let through: set imageSwapPolicy: exists for this target',
      ],
    ],
    [
      'without a check',
      oci('  gate: {}\n'),
      ['5:3: target.gate: has no check: expected minimumAge, verify or webhook'],
    ],
    [
      'with a webhook without a URL',
      oci('  gate: {webhook: {timeout: 5s}}\n'),
      ['5:10: target.gate.webhook.url: required: expected a URL that begins with https:// or http://'],
    ],
    [
      'with a webhook at something that is not a URL, without showing it',
      oci('  gate: {webhook: {url: "ftp://user:secret@host"}}\n'),
      [
        '5:25: target.gate.webhook.url: this is not a URL of a webhook: expected a URL that begins with https:// or http://',
      ],
    ],
    [
      'with a bare % in the login of its webhook, without showing it',
      oci('  gate: {webhook: {url: "https://user:se%cret@host/100%"}}\n'),
      [
        '5:25: target.gate.webhook.url: has a % that does not begin an escape: expected %25 for each % in the user, password or path',
      ],
    ],
    [
      'that verifies nothing',
      oci('  gate: {verify: {}}\n'),
      ['5:10: target.gate.verify: names no signer: expected keys or identities'],
    ],
    [
      'with identities and no root that vouches for them',
      oci('  gate: {verify: {identities: [{issuer: "https://i.example", subject: a}]}}\n'),
      ['5:19: target.gate.verify.trustedRoot: required with identities: expected a path'],
    ],
    [
      'with an identity that is everybody',
      oci('  gate: {verify: {trustedRoot: /r.json, identities: [{issuer: "https://i.example"}]}}\n'),
      [
        '5:54: target.gate.verify.identities[0]: names no subject: everybody could sign: expected subject or subjectPattern',
      ],
    ],
    [
      'with a pattern that is none',
      oci(
        '  gate: {verify: {trustedRoot: /r.json, identities: [{issuer: "https://i.example", subjectPattern: "("}]}}\n',
      ),
      ['5:100: target.gate.verify.identities[0].subjectPattern: this is not a regular expression'],
    ],
    [
      'with an age that is none',
      oci('  gate: {minimumAge: 3 days}\n'),
      [
        '5:22: target.gate.minimumAge: "3 days" is not a valid duration: expected a duration such as 200ms, 8s, 1m30s or 1h, from 1s to 576h',
      ],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });

  it('a target with exists is taken although the general policy is always', () => {
    const text = `imageSwapPolicy: always\n${oci('  imageSwapPolicy: exists\n  gate: {minimumAge: 72h, webhook: {url: "https://scanner.example.com"}}\n')}`;
    expect(parse(text).config.target?.gate).toEqual({
      minimumAge: 259_200_000,
      webhook: { url: 'https://scanner.example.com', timeout: 10_000, onError: 'hold' },
    });
  });

  it('refuses a gate into which nothing is copied', () => {
    expect(problemsOf(oci('  imageCopyPolicy: none\n  gate: {minimumAge: 72h}\n'))).toEqual([
      '6:3: target.gate: conflicts with imageCopyPolicy none: only copies of the service pass the gate: set imageCopyPolicy: delayed or immediate for this target',
    ]);
  });
});
