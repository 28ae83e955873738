import { BlockList } from 'node:net';
import { describe, expect, it } from 'vitest';
import { engineValues } from '../../extension-service/src/cli/engine-values.js';
import { KYVERNO_1_18_BLOCKLIST } from '../../extension-service/src/core/engines/kyverno/chart-values.js';
import { kyverno } from '../../extension-service/src/core/engines/kyverno/engine.js';
import { commandsOf, pages, read } from '../tools/docs.js';
import { CA } from './policies/example-options.js';

/** Addresses that Kyverno 1.19.1 blocks by default (pkg/toggle/toggle.go). */
const BLOCKED_SINCE_1_19 = ['169.254.169.254', '169.254.169.253', 'fd00:ec2::254', '127.0.0.1', '::1'];

describe("Kyverno 1.18's list of blocked addresses", () => {
  const list = new BlockList();
  for (const entry of KYVERNO_1_18_BLOCKLIST.split(',')) {
    const [address = '', bits] = entry.split('/');
    if (bits !== undefined) list.addSubnet(address, Number(bits), address.includes(':') ? 'ipv6' : 'ipv4');
  }
  const blocks = (address: string): boolean => list.check(address, address.includes(':') ? 'ipv6' : 'ipv4');

  it('allows calls to Services, and keeps the blocks of newer versions', () => {
    expect(['10.96.0.1', '172.20.0.1', '192.168.1.1', '100.64.0.1', 'fd00:10:96::1'].filter(blocks)).toEqual([]);
    expect(BLOCKED_SINCE_1_19.filter((address) => !blocks(address))).toEqual([]);
    expect(KYVERNO_1_18_BLOCKLIST).toContain(',metadata.google.internal');
  });

  const setting = `--set "admissionController.container.extraArgs.httpBlocklist=${KYVERNO_1_18_BLOCKLIST.replaceAll(',', '\\,')}"`;

  // Without `--version`, Helm would replace the chart of Kyverno 1.18 with the latest chart.
  const upgrade = "helm upgrade kyverno kyverno/kyverno --namespace kyverno --reuse-values --version '3.8.*'";

  it.each(['docs/kyverno.md', 'docs/install.md'])('%s names the same value, only for charts of 1.18', (page) => {
    const commands = commandsOf(page, 'helm')
      .filter((command) => command.includes('httpBlocklist'))
      .map((command) => command.replaceAll(/\s+/g, ' '));
    expect(commands).toEqual([`${upgrade} ${setting}`]);
  });

  it("is documented with the values of Kyverno's chart and in the chart", () => {
    expect(engineValues(kyverno, undefined, undefined)).toContain(`#   ${setting}\n`);
    expect(engineValues(kyverno, undefined, CA)).toContain(`#   ${setting}\n`);
    const template = read('extension-service/chart/templates/_policies.tpl');
    expect(template).toContain(KYVERNO_1_18_BLOCKLIST.replaceAll(',', '\\\\,'));
    expect(template).toContain(upgrade.replace('--namespace kyverno', '-n %s'));
  });
});

it('all texts name the same version of Kyverno that works without changes', () => {
  const texts = [
    ...pages,
    'CHANGELOG.md',
    'extension-service/chart/values.yaml',
    'extension-service/chart/values.schema.json',
    'extension-service/chart/templates/_policies.tpl',
    'extension-service/src/cli/migrate.ts',
    'cdk8s/src/image-swapper.ts',
    'cdk8s/src/kyverno-mutating-policy.ts',
    'cdk8s/src/kyverno-cluster-policy.ts',
  ];
  const claims = texts.flatMap((file) =>
    [...read(file).matchAll(/(?:≥ 1\.1[5-8]\b|\b1\.1[5-8] (?:or|and) newer|before 1\.18\b)/g)].map(
      ([text]) => `${file}: ${text}`,
    ),
  );
  expect(claims).toEqual([]);
});
