import { describe, expect, it } from 'vitest';
import { explainDecisions } from '../../../extension-service/src/core/decide/explain.js';
import type { JsonObject } from '../../../extension-service/src/core/decide/pod.js';
import { rulesOf } from './rules-of.js';

const SECRETS = {
  env: 'hunter2-of-the-database',
  annotation: 'annotation-word-77',
  argument: 'argument-word-88',
  flag: 'flag-word-99',
  url: 'url-word-55',
};
const pod: JsonObject = {
  metadata: {
    name: 'web',
    namespace: 'team-a',
    annotations: { 'example.com/api-token': SECRETS.annotation, note: 'plain note' },
  },
  spec: {
    imagePullSecrets: [{ name: 'pull-me' }],
    containers: [
      {
        name: 'app',
        image: 'nginx',
        args: ['--listen=:80', `--password=${SECRETS.argument}`, '--token', SECRETS.flag],
        env: [
          { name: 'DB', value: SECRETS.env },
          { name: 'POD_NAMESPACE', value: 'team-a' },
          { name: 'URL', value: `postgres://me:${SECRETS.url}@db` },
        ],
      },
    ],
  },
};

/** The explanation of a filter, as the JSON of the response. */
function told(expression: string, object: JsonObject = pod): string {
  const rules = rulesOf({}, expression);
  const input = { pod: object, namespace: 'team-a', operation: 'CREATE' };
  return JSON.stringify(explainDecisions(rules, input).map(({ explanation }) => explanation));
}

describe('the parts of a Pod that explain shows', () => {
  it.each([
    'length(container.env[].value) > `0`',
    "container.env[?name == 'DB'].value | [0] != ''",
    "contains(join(',', container.env[].value), 'hunter2')",
    'container.env[0].value != `null`',
    'length(obj) > `0`',
    'length(obj.spec.containers) > `0`',
    'container.args && `true`',
    "contains(container.args[1], '=')",
    "starts_with(container.args[-1], 'flag')",
    'obj.metadata.annotations && `true`',
    `obj.metadata.annotations."example.com/api-token" != ''`,
    'length(to_string(obj)) > `0`',
    'values(obj.metadata.annotations) && `true`',
    // These expressions are not boolean, so the explanation contains their values.
    'container.env',
    'container.env[0].value',
    `obj.metadata.annotations."example.com/api-token"`,
    'obj',
    // These expressions fail, so the trace contains the values.
    'abs(container.env[0].value) > `1`',
    "sort_by(container.env, &value)[0].name != ''",
  ])('%s: no secret', (expression) => {
    const text = told(expression);
    for (const secret of Object.values(SECRETS)) expect(text).not.toContain(secret);
    expect(text).toContain('"filters":[{');
  });

  it('still shows names, namespaces, images, and names of secrets', () => {
    expect(told("obj.metadata.namespace == 'team-a'")).toContain('"value":"team-a"');
    expect(told("container.image == 'nginx'")).toContain('"value":"nginx"');
    expect(told("obj.metadata.annotations.note == 'plain note'")).toContain('"value":"plain note"');
    expect(told("obj.spec.imagePullSecrets[0].name == 'pull-me'")).toContain('"value":"pull-me"');
    expect(told("container.args[0] == '--listen=:80'")).toContain('"value":"--listen=:80"');
    expect(told('container.env && `true`')).toContain('"DB","value":"(hidden)"');
  });

  it('is bounded for a Pod of any size', () => {
    const env = Array.from({ length: 20_000 }, (_, n) => ({ name: `V${n}`, value: `value ${n}` }));
    const labels = Object.fromEntries(env.map(({ name, value }) => [name, value]));
    const large = {
      metadata: { labels, annotations: { a: 'x'.repeat(1_000_000) } },
      spec: { containers: [{ name: 'app', image: 'nginx', env }] },
    };
    const most = 20_000;
    expect(told('obj && `true`', large).length).toBeLessThan(most);
    expect(told('container.env && length(obj.metadata.annotations.a) > `0`', large).length).toBeLessThan(most);
    expect(told('container.env', large).length).toBeLessThan(most);
    expect(told('obj.metadata.annotations.a', large).length).toBeLessThan(most);
  });

  it('handles a Pod that is nested deeper than the stack', () => {
    const deep = JSON.parse(`${'['.repeat(200_000)}${']'.repeat(200_000)}`) as JsonObject;
    const text = told('obj.metadata.annotations && `true`', {
      metadata: { annotations: deep },
      spec: { containers: [{ name: 'app', image: 'nginx' }] },
    });
    expect(text).toContain('…');
  });
});
