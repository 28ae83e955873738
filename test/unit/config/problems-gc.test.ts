import { describe, expect, it } from 'vitest';
import { problemsOf } from './parsing.js';

const target = 'target: {type: oci, oci: {registry: z.test}}\n';

describe('problems with gc', () => {
  it.each<[string, string, readonly string[]]>([
    ['is fine with a cluster that is in the list', 'gc: {enabled: true, cluster: a, clusters: [a, b]}\n', []],
    ['is fine for the command alone', 'gc: {clusters: [a, b]}\nimageCopyPolicy: none\n', []],
    [
      'needs a cluster',
      'gc: {enabled: true, clusters: [a]}\n',
      ['2:15: gc.enabled: is true, and this cluster records no uses: set gc.cluster, and list it in gc.clusters'],
    ],
    [
      'needs the cluster itself in the list',
      'gc: {enabled: true, cluster: a, clusters: [b]}\n',
      ['2:33: gc.clusters: does not have a, this cluster itself: add it'],
    ],
    [
      'needs the watches',
      'gc: {cluster: a}\nreconcile: {enabled: false}\n',
      [
        '2:15: gc.cluster: needs reconcile.enabled: uses are recorded from the watches of the cluster: set reconcile.enabled: true',
      ],
    ],
    [
      'needs copies',
      'gc: {cluster: a}\nimageCopyPolicy: none\n',
      [
        '2:15: gc.cluster: conflicts with imageCopyPolicy none: the uses of images that are never copied are not recorded: set imageCopyPolicy: delayed, or leave gc.cluster out',
      ],
    ],
    [
      'needs names that are tags',
      'gc: {cluster: "my cluster"}\n',
      ['2:15: gc.cluster: "my cluster" is not a valid name of a cluster: expected lower-case letters, digits and -'],
    ],
    [
      'waits for a day at least',
      'gc: {after: 1h}\n',
      ['2:13: gc.after: 1h is too short: expected a duration such as 200ms, 8s, 1m30s or 1h, from 24h to 9600h'],
    ],
  ])('%s', (_title, text, expected) => {
    expect(problemsOf(`${target}${text}`)).toEqual(expected);
  });

  it('cannot be combined with immutable tags in the repository of Artifact Registry', () => {
    const gcp =
      '{location: europe, projectId: my-project-123, repositoryId: mirror, repository: {immutableTags: true}}';
    expect(problemsOf(`target: {type: gcp, gcp: ${gcp}}\ngc: {cluster: a}\n`)).toEqual([
      '2:15: gc.cluster: conflicts with gcp.repository.immutableTags: the tag of a usage record must be able to move: set immutableTags: false, or leave gc.cluster out',
    ]);
  });
});
