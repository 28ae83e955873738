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
      ['4:17: YAML: nested mappings are not allowed on one line (a text with ": " in it must be in quotes)'],
    ],
    [
      'an alias without an anchor',
      'target: *nowhere\n',
      ['1:9: target: this alias has no anchor before it (a text that begins with * or & must be in quotes)'],
    ],
    [
      'a tag',
      'target:\n  oci:\n    registry: !secret x\n',
      ['3:15: YAML: unknown tag (a text that begins with ! must be in quotes)'],
    ],
    ['a second document', `${target}---\n${target}`, ['2:1: YAML: this is a second document; a configuration is one']],
    ['a list', '- target\n', ['1:1: the file is a list, and a mapping is needed: write key: value lines']],
    ['a text', 'target\n', ['1:1: the file is a single value, and a mapping is needed: write key: value lines']],
    [
      'a template that was not filled in',
      `${target}{{ .Values.more }}: x\n`,
      ['2:1: this key is no text: if it comes from a template, the template was not filled in'],
    ],
    [
      'an alias inside of itself',
      'target: &t\n  oci: *t\n',
      [
        '2:3: target.oci: this alias is inside of what it stands for',
        `2:3: target.type: is missing: allowed are ${TYPES.join(', ')}`,
      ],
    ],
    [
      'a duplicate key',
      `${target}logLevel: info\nlogLevel: debug\n`,
      ['3:1: logLevel: this key is there twice, first in line 2'],
    ],
    [
      'a duplicate key inside',
      'target:\n  oci:\n    registry: a.example\n    registry: b.example\n',
      ['4:5: target.oci.registry: this key is there twice, first in line 3'],
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
        `1:1: target: no target is configured: give target: {type: ${TYPES.join(' | ')}, …} or a list of targets, in the file or as IMAGE_SWAPPER_TARGET_…`,
      ],
    ],
    [
      'the Helm values of the chart',
      'replicaCount: 2\nconfig:\n  target: {type: oci, oci: {registry: r.example.com}}\n',
      [
        "2:1: config: this looks like the chart's Helm values: the file of the service has the keys below config: one level higher; image-swapper check FILE reads Helm values",
      ],
    ],
    [
      'keys of k8s-image-swapper that have another place',
      `${target}skipRegistries: [a]\nListenAddress: ":8443"\n`,
      [
        '2:1: skipRegistries: has no counterpart of this name: add an entry to targets whose match selects these images, with imageCopyPolicy: none',
        '3:1: ListenAddress: is a flag of serve here: the chart sets it',
      ],
    ],
    [
      'an unknown key at the top',
      `${target}imageSwapPolcy: exists\n`,
      [
        '2:1: imageSwapPolcy: unknown key (did you mean "imageSwapPolicy"?): allowed are dryRun, logLevel, logFormat, imageSwapPolicy, imageCopyPolicy, imageCopyDeadline, imageCopyFailure, answerBudget, source, pods, target, targets, mirror, queue, reconcile, secretReader, lease, events, tls, server, auth, policies',
      ],
    ],
    [
      'an unknown key inside',
      oci('    prefx: a\n'),
      [
        '5:5: target.oci.prefx: unknown key (did you mean "prefix"?): allowed are registry, prefix, insecure, caFile, tokenHosts, clientCertificate, credentials, uploadChunk',
      ],
    ],
    [
      'another letter case',
      `${target}dryrun: true\n`,
      [
        '2:1: dryrun: unknown key (did you mean "dryRun"?): allowed are dryRun, logLevel, logFormat, imageSwapPolicy, imageCopyPolicy, imageCopyDeadline, imageCopyFailure, answerBudget, source, pods, target, targets, mirror, queue, reconcile, secretReader, lease, events, tls, server, auth, policies',
      ],
    ],
    [
      'a key that belongs deeper',
      aws('    accessPolicy: "{}"\n'),
      [
        '6:5: target.aws.accessPolicy: unknown key (did you mean "ecrOptions.accessPolicy"?): allowed are accountId, region, endpoint, role, externalId, roleSessionName, prefix, ecrOptions, repositories, quotas',
      ],
    ],
    [
      'an unknown key in a list',
      `${target}source:\n  filters:\n    - jmespth: "obj"\n`,
      [
        '4:7: source.filters[0].jmespth: unknown key (did you mean "jmespath"?): allowed are jmespath',
        '4:7: source.filters[0].jmespath: is missing: a JMESPath expression is allowed',
      ],
    ],
    [
      'a missing key',
      'target:\n  type: aws\n  aws:\n    region: eu-central-1\n',
      ['3:3: target.aws.accountId: is missing: the 12 digits of an AWS account are allowed'],
    ],
    [
      'a missing mapping',
      'target:\n  type: gcp\n',
      [
        '1:1: target.gcp: is missing: its keys are location, projectId, repositoryId, serviceAccount, credentialsFile, endpoint, createRepository, reconcilePolicies, repository, cleanupPolicies, cleanupDryRun, readers',
      ],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });
});

describe('problems with kinds of values', () => {
  it.each<readonly [string, string, readonly string[]]>([
    [
      'a text for a truth value',
      `${target}dryRun: "yes"\n`,
      ['2:9: dryRun: is a text, and a truth value is needed: allowed are true, false'],
    ],
    [
      'a number for a text',
      oci('    prefix: 12\n'),
      ['5:13: target.oci.prefix: is a number, and a text is needed: write it in quotes: "12"'],
    ],
    [
      'a truth value for a text',
      oci('    prefix: on\n    caFile: true\n'),
      ['6:13: target.oci.caFile: is a truth value, and a text is needed: write it in quotes: "true"'],
    ],
    [
      'a password as a number',
      oci('    credentials: {username: u, password: 12345678}\n'),
      ['5:42: target.oci.credentials.password: is a number, and a text is needed: write it in quotes'],
    ],
    [
      'a text for a number',
      `${target}mirror: {concurrency: many}\n`,
      ['2:23: mirror.concurrency: is a text, and a number is needed: a whole number from 1 to 256 is allowed'],
    ],
    [
      'a number out of range',
      `${target}mirror: {concurrency: 0}\n`,
      ['2:23: mirror.concurrency: 0 is not possible: a whole number from 1 to 256 is allowed'],
    ],
    [
      'a fraction',
      `${target}mirror: {concurrency: 1.5}\n`,
      ['2:23: mirror.concurrency: 1.5 is not possible: a whole number from 1 to 256 is allowed'],
    ],
    [
      'a text for a list',
      `${target}source: {filters: "obj"}\n`,
      ['2:19: source.filters: is a text, and a list is needed: each entry is a line that begins with "- "'],
    ],
    [
      'a list for a mapping',
      'target: [oci]\n',
      [
        `1:1: target: is a list, and a mapping is needed: its keys are type, aws, name, match, imageSwapPolicy, imageCopyPolicy, platforms, ${TYPES.slice(1).join(', ')}`,
      ],
    ],
    [
      'a mapping for a text',
      aws('    ecrOptions:\n      accessPolicy: {Version: "2008-10-17"}\n'),
      ['7:7: target.aws.ecrOptions.accessPolicy: is a mapping, and a text is needed: a repository policy as raw JSON'],
    ],
    [
      'an empty entry',
      `${target}source:\n  filters:\n    -\n`,
      ['4:6: source.filters[0]: is empty, and a mapping is needed: its keys are jmespath'],
    ],
    [
      'an unknown choice',
      `${target}imageSwapPolicy: sometimes\n`,
      ['2:18: imageSwapPolicy: "sometimes" is not possible: allowed are exists, always'],
    ],
    [
      'a misspelt choice',
      `${target}imageCopyPolicy: delay\nlogLevel: Debug\n`,
      [
        '2:18: imageCopyPolicy: "delay" is not possible: allowed are delayed, immediate, force, none',
        '3:11: logLevel: "Debug" is not possible (did you mean "debug"?): allowed are trace, debug, info, warn, error, fatal',
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
        '2:20: imageCopyDeadline: "8" is not a valid duration: a duration such as 200ms, 8s, 1m30s or 1h is allowed, from 1ms to 576h',
      ],
    ],
    [
      'an unknown unit',
      `${target}imageCopyDeadline: 8 seconds\n`,
      [
        '2:20: imageCopyDeadline: "8 seconds" is not a valid duration: a duration such as 200ms, 8s, 1m30s or 1h is allowed, from 1ms to 576h',
      ],
    ],
    [
      'a sign',
      `${target}imageCopyDeadline: -8s\n`,
      [
        '2:20: imageCopyDeadline: "-8s" is not a valid duration: a duration such as 200ms, 8s, 1m30s or 1h is allowed, from 1ms to 576h',
      ],
    ],
    [
      'nothing',
      `${target}imageCopyDeadline: 0s\n`,
      [
        '2:20: imageCopyDeadline: 0s is too short: a duration such as 200ms, 8s, 1m30s or 1h is allowed, from 1ms to 576h',
      ],
    ],
    [
      'a budget above the limit',
      `${target}answerBudget: 701ms\n`,
      [
        '2:15: answerBudget: 701ms is too long: a duration such as 200ms, 8s, 1m30s or 1h is allowed, from 1ms to 700ms',
      ],
    ],
    [
      'longer than timers go',
      `${target}reconcile: {interval: 1000h}\n`,
      [
        '2:23: reconcile.interval: 1000h is too long: a duration such as 200ms, 8s, 1m30s or 1h is allowed, from 1s to 576h',
      ],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });
});
