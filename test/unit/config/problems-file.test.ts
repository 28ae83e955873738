import { describe, expect, it } from 'vitest';
import { aws, oci, problemsOf, target } from './parsing.js';
import { REGISTRY_TYPES as TYPES } from '../../../extension-service/src/kinds/kinds.js';

describe('problems with the YAML itself', () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      'an unfinished list',
      'source: {filters: [\n',
      [
        '2:1: YAML: flow sequence in block collection must be sufficiently indented and end with a ]',
        '2:1: YAML: flow map in block collection must be sufficiently indented and end with a }',
      ],
    ],
    ['a tab', 'source:\n\tfilters: []\n', ['2:1: YAML: tabs are not allowed as indentation']],
    [
      'a colon in a plain text',
      `${target}source:\n  filters:\n    - jmespath: a: b\n`,
      ['4:17: YAML: nested mappings are not allowed on one line (put a string that contains ": " in quotes)'],
    ],
    [
      'an alias without an anchor',
      'target: *nowhere\n',
      ['1:9: target: this alias has no anchor before it (put a string that begins with * or & in quotes)'],
    ],
    [
      'a tag',
      'target:\n  oci:\n    registry: !secret x\n',
      ['3:15: YAML: unknown tag (put a string that begins with ! in quotes)'],
    ],
    [
      'a second document',
      `${target}---\n${target}`,
      ['2:1: YAML: this is a second document; a configuration has only one'],
    ],
    ['a list', '- target\n', ['1:1: the file is a list, not a mapping: write key: value lines']],
    ['a text', 'target\n', ['1:1: the file is a single value, not a mapping: write key: value lines']],
    [
      'a template that was not filled in',
      `${target}{{ .Values.more }}: x\n`,
      ['2:1: this key is not a string: if this is a template, it was not rendered'],
    ],
    [
      'an alias inside of itself',
      'target: &t\n  oci: *t\n',
      [
        '2:3: target.oci: this alias refers to a value that contains it',
        `2:3: target.type: required: expected one of ${TYPES.join(', ')}`,
      ],
    ],
    [
      'a duplicate key',
      `${target}logLevel: info\nlogLevel: debug\n`,
      ['3:1: logLevel: duplicate key, first defined on line 2'],
    ],
    [
      'a duplicate key inside',
      'target:\n  oci:\n    registry: a.example\n    registry: b.example\n',
      ['4:5: target.oci.registry: duplicate key, first defined on line 3'],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });
});

describe('problems with keys', () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      'no target',
      'logLevel: debug\n',
      [
        `1:1: target: no target is configured: set target: {type: ${TYPES.join(' | ')}, …} or a list of targets, in the file or as IMAGE_SWAPPER_TARGET_…`,
      ],
    ],
    [
      'the Helm values of the chart',
      'replicaCount: 2\nconfig:\n  target: {type: oci, oci: {registry: r.example.com}}\n',
      [
        "2:1: config: this looks like the chart's Helm values: the service's file holds the keys under config: at its top level; image-swapper check FILE also reads Helm values",
      ],
    ],
    [
      'keys of k8s-image-swapper that have another place',
      `${target}skipRegistries: [a]\nListenAddress: ":8443"\n`,
      [
        '2:1: skipRegistries: is not supported: add an entry to targets whose match selects these images, with imageCopyPolicy: none',
        '3:1: ListenAddress: is a flag of serve, not a configuration key: the chart sets it',
      ],
    ],
    [
      'an unknown key at the top',
      `${target}imageSwapPolcy: exists\n`,
      [
        '2:1: imageSwapPolcy: unknown key (did you mean "imageSwapPolicy"?): expected one of dryRun, logLevel, logFormat, imageSwapPolicy, imageCopyPolicy, imageCopyDeadline, imageCopyFailure, answerBudget, source, pods, target, targets, mirror, queue, gc, reconcile, secretReader, lease, events, tls, server, auth, policies',
      ],
    ],
    [
      'an unknown key inside',
      oci('    prefx: a\n'),
      [
        '5:5: target.oci.prefx: unknown key (did you mean "prefix"?): expected one of registry, prefix, insecure, caFile, tokenHosts, clientCertificate, credentials, uploadChunk',
      ],
    ],
    [
      'another letter case',
      `${target}dryrun: true\n`,
      [
        '2:1: dryrun: unknown key (did you mean "dryRun"?): expected one of dryRun, logLevel, logFormat, imageSwapPolicy, imageCopyPolicy, imageCopyDeadline, imageCopyFailure, answerBudget, source, pods, target, targets, mirror, queue, gc, reconcile, secretReader, lease, events, tls, server, auth, policies',
      ],
    ],
    [
      'a key that belongs deeper',
      aws('    accessPolicy: "{}"\n'),
      [
        '6:5: target.aws.accessPolicy: unknown key (did you mean "ecrOptions.accessPolicy"?): expected one of accountId, region, endpoint, role, externalId, roleSessionName, prefix, ecrOptions, repositories, quotas',
      ],
    ],
    [
      'an unknown key in a list',
      `${target}source:\n  filters:\n    - jmespth: "obj"\n`,
      [
        '4:7: source.filters[0].jmespth: unknown key (did you mean "jmespath"?): expected one of jmespath',
        '4:7: source.filters[0].jmespath: required: expected a JMESPath expression',
      ],
    ],
    [
      'a missing key',
      'target:\n  type: aws\n  aws:\n    region: eu-central-1\n',
      ['3:3: target.aws.accountId: required: expected a 12-digit AWS account ID'],
    ],
    [
      'a missing mapping',
      'target:\n  type: gcp\n',
      [
        '1:1: target.gcp: required: its keys are location, projectId, repositoryId, serviceAccount, credentialsFile, endpoint, createRepository, reconcilePolicies, repository, cleanupPolicies, cleanupDryRun, readers',
      ],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });
});

describe('YAML with a wrong indentation', () => {
  it('is reported where the text of the line begins', () => {
    expect(problemsOf('target:\n  oci: {registry: a.example.com}\n    x: 1\n')).toEqual([
      '3:5: YAML: all mapping items must start at the same column',
    ]);
  });
});

describe('problems with kinds of values', () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      'a string for a boolean',
      `${target}dryRun: "yes"\n`,
      ['2:9: dryRun: is a string, not a boolean: expected true or false'],
    ],
    [
      'a number for a string',
      oci('    prefix: 12\n'),
      ['5:13: target.oci.prefix: is a number, not a string: write it in quotes: "12"'],
    ],
    [
      'a boolean for a string',
      oci('    prefix: on\n    caFile: true\n'),
      ['6:13: target.oci.caFile: is a boolean, not a string: write it in quotes: "true"'],
    ],
    [
      'a password as a number',
      oci('    credentials: {username: u, password: 12345678}\n'),
      ['5:42: target.oci.credentials.password: is a number, not a string: write it in quotes'],
    ],
    [
      'a string for a number',
      `${target}mirror: {concurrency: many}\n`,
      ['2:23: mirror.concurrency: is a string, not a number: expected a whole number from 1 to 256'],
    ],
    [
      'a number out of range',
      `${target}mirror: {concurrency: 0}\n`,
      ['2:23: mirror.concurrency: 0 is not valid: expected a whole number from 1 to 256'],
    ],
    [
      'a fraction',
      `${target}mirror: {concurrency: 1.5}\n`,
      ['2:23: mirror.concurrency: 1.5 is not valid: expected a whole number from 1 to 256'],
    ],
    [
      'a string for a list',
      `${target}source: {filters: "obj"}\n`,
      ['2:19: source.filters: is a string, not a list: each entry is a line that begins with "- "'],
    ],
    [
      'a list for a mapping',
      'target: [oci]\n',
      [
        `1:1: target: is a list, not a mapping: its keys are type, aws, name, match, imageSwapPolicy, imageCopyPolicy, platforms, paths, gate, ${TYPES.slice(1).join(', ')}`,
      ],
    ],
    [
      'a mapping for a string',
      aws('    ecrOptions:\n      accessPolicy: {Version: "2008-10-17"}\n'),
      ['7:7: target.aws.ecrOptions.accessPolicy: is a mapping, not a string: expected a repository policy as raw JSON'],
    ],
    [
      'an empty entry',
      `${target}source:\n  filters:\n    -\n`,
      ['4:6: source.filters[0]: is empty: its keys are jmespath'],
    ],
    [
      'an unknown choice',
      `${target}imageSwapPolicy: sometimes\n`,
      ['2:18: imageSwapPolicy: "sometimes" is not valid: expected one of exists, always'],
    ],
    [
      'a misspelt choice',
      `${target}imageCopyPolicy: delay\nlogLevel: Debug\n`,
      [
        '2:18: imageCopyPolicy: "delay" is not valid: expected one of delayed, immediate, force, none',
        '3:11: logLevel: "Debug" is not valid (did you mean "debug"?): expected one of trace, debug, info, warn, error, fatal',
      ],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });
});

describe('problems with durations', () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      'no unit',
      `${target}imageCopyDeadline: 8\n`,
      [
        '2:20: imageCopyDeadline: "8" is not a valid duration: expected a duration such as 200ms, 8s, 1m30s or 1h, from 1ms to 576h',
      ],
    ],
    [
      'an unknown unit',
      `${target}imageCopyDeadline: 8 seconds\n`,
      [
        '2:20: imageCopyDeadline: "8 seconds" is not a valid duration: expected a duration such as 200ms, 8s, 1m30s or 1h, from 1ms to 576h',
      ],
    ],
    [
      'a sign',
      `${target}imageCopyDeadline: -8s\n`,
      [
        '2:20: imageCopyDeadline: "-8s" is not a valid duration: expected a duration such as 200ms, 8s, 1m30s or 1h, from 1ms to 576h',
      ],
    ],
    [
      'nothing',
      `${target}imageCopyDeadline: 0s\n`,
      [
        '2:20: imageCopyDeadline: 0s is too short: expected a duration such as 200ms, 8s, 1m30s or 1h, from 1ms to 576h',
      ],
    ],
    [
      'a budget above the limit',
      `${target}answerBudget: 701ms\n`,
      ['2:15: answerBudget: 701ms is too long: expected a duration such as 200ms, 8s, 1m30s or 1h, from 1ms to 700ms'],
    ],
    [
      'longer than timers go',
      `${target}reconcile: {interval: 1000h}\n`,
      [
        '2:23: reconcile.interval: 1000h is too long: expected a duration such as 200ms, 8s, 1m30s or 1h, from 1s to 576h',
      ],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });
});
