import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ChartRepository } from '../../../fakes/chart-repository.js';
import { RealRegistry } from '../../../fakes/real-registry.js';
import { documentedCommands } from '../../../tools/chart/documented.js';
import { Helm } from '../../../tools/helm.js';
import { goToolsAvailable } from '../../../tools/tool.js';

const available = await goToolsAvailable('repositories of the Helm chart');
const TARGET = ['--set', 'config.target.aws.accountId=012345678901', '--set', 'config.target.aws.region=eu-central-1'];

describe.skipIf(!available)('the packaged chart', () => {
  let helm: Helm;
  let repository: ChartRepository;
  let registry: RealRegistry;

  beforeAll(async () => {
    helm = await Helm.create();
    repository = await ChartRepository.start(helm);
    registry = await RealRegistry.start();
  });
  afterAll(async () => {
    await repository?.stop();
    await registry?.stop();
  });

  it('is found in a repository with an index, as in the guide', async () => {
    await helm.ok(['repo', 'add', 'image-swapper', repository.url]);
    await helm.ok(['repo', 'update']);
    expect(await helm.ok(['search', 'repo', 'image-swapper/image-swapper'])).toContain('0.1.0');
    const direct = await helm.template({ args: TARGET });
    const chart = 'image-swapper/image-swapper';
    expect((await helm.template({ chart, args: TARGET })).stdout).toBe(direct.stdout);
    expect(direct.stdout).toContain('kind: MutatingPolicy');
  });

  it.each([
    ['any-registry', 'harbor.example.com/mirror/', 'image-swapper-ca'],
    ['ecr-iam-user', '012345678901.dkr.ecr.eu-central-1.amazonaws.com/', 'secretKeyRef'],
    [
      'eks-irsa',
      '012345678901.dkr.ecr.eu-central-1.amazonaws.com/',
      'eks.amazonaws.com/role-arn: arn:aws:iam::012345678901:role/image-swapper',
    ],
    [
      'gke-workload-identity',
      'europe-west3-docker.pkg.dev/my-project/mirror/',
      'iam.gke.io/gcp-service-account: image-swapper@my-project.iam.gserviceaccount.com',
    ],
  ])('renders for the documented command: %s', async (name, ...texts) => {
    await helm.ok(['repo', 'add', 'image-swapper', repository.url]);
    const install = (await documentedCommands(name)).find(
      ([program, verb]) => program === 'helm' && verb === 'install',
    );
    const rendered = await helm.ok(['template', ...(install ?? []).slice(2)]);
    for (const text of texts) expect(rendered).toContain(text);
  });

  it('is pulled from an OCI registry', async () => {
    const oci = `oci://${registry.host}/charts`;
    await helm.ok(['push', repository.archive, oci, '--plain-http']);
    const args = [...TARGET, '--plain-http', '--version', '0.1.0'];
    const { code, stdout, stderr } = await helm.template({ chart: `${oci}/image-swapper`, args });
    expect(stderr).toContain('Pulled');
    expect(code).toBe(0);
    expect(stdout).toContain('kind: MutatingPolicy');
    expect(registry.accessLog()).toContainEqual(
      expect.objectContaining({ method: 'GET', path: '/v2/charts/image-swapper/manifests/0.1.0', status: 200 }),
    );
  });
});
