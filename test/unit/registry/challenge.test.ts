import fc from 'fast-check';
import { anyCharacter } from '../characters.js';
import { describe, expect, it } from 'vitest';
import { parseChallenges } from '../../../extension-service/src/registry/transport/challenge.js';

function plain(header: string): unknown[] {
  return parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);
}

describe('parseChallenges', () => {
  it.each([
    [
      'Docker Hub, with a comma inside quotes',
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull,push"',
      [
        [
          'bearer',
          {
            realm: 'https://auth.docker.io/token',
            service: 'registry.docker.io',
            scope: 'repository:library/x:pull,push',
          },
        ],
      ],
    ],
    [
      'ECR: Basic with a realm that is a URL',
      'Basic realm="https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com"',
      [['basic', { realm: 'https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/', service: 'ecr.amazonaws.com' }]],
    ],
    [
      'two challenges in one header, as ACR and node (which joins headers) have them',
      'Bearer realm="https://a.example/t",service="a", Basic realm="a"',
      [
        ['bearer', { realm: 'https://a.example/t', service: 'a' }],
        ['basic', { realm: 'a' }],
      ],
    ],
    ['a scheme alone', 'Basic', [['basic', {}]]],
    [
      'spaces, capitals, no quotes',
      'bEaReR  Realm = https://a/t ,SERVICE=x',
      [['bearer', { realm: 'https://a/t', service: 'x' }]],
    ],
    ['escaped quotes', 'Basic realm="a \\"b\\" c"', [['basic', { realm: 'a "b" c' }]]],
    [
      'a token68 before another challenge',
      'Negotiate YII=, Basic realm="r"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'r' }],
      ],
    ],
    [
      'semicolons between parameters',
      'Bearer realm="https://a/t"; service="s"; scope="repository:a:pull", Basic realm="r"',
      [
        ['bearer', { realm: 'https://a/t', service: 's', scope: 'repository:a:pull' }],
        ['basic', { realm: 'r' }],
      ],
    ],
    [
      'a parameter for each scope',
      'Bearer realm="https://a/t",scope="repository:a:pull",scope="repository:b:pull"',
      [['bearer', { realm: 'https://a/t', scope: 'repository:a:pull repository:b:pull' }]],
    ],
    [
      'nothing between two challenges',
      'Basic realm="r" Bearer realm="https://a/t",service="s"',
      [
        ['basic', { realm: 'r' }],
        ['bearer', { realm: 'https://a/t', service: 's' }],
      ],
    ],
    ['an empty header', '', []],
    ['nonsense', '"""===,,,', []],
    ['an open quote', 'Bearer realm="https://a', [['bearer', {}]]],
  ])('reads %s', (_, header, expected) => {
    expect(plain(header)).toEqual(expected);
  });

  it('takes the first of two parameters with one name, so that none can be overwritten later in the header', () => {
    expect(plain('Bearer realm="https://a",realm="https://b"')).toEqual([['bearer', { realm: 'https://a' }]]);
  });

  it('terminates for every text', () => {
    fc.assert(fc.property(fc.string({ unit: anyCharacter }), (text) => Array.isArray(parseChallenges(text))));
    expect(parseChallenges(`Bearer ${'a="'.repeat(5_000)}`).length).toBeLessThan(5_001);
  });
});
