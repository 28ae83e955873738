import { UnusableRegistriesError } from '../targets/registries.js';
import { Command, CommanderError, Option } from 'commander';
import type { CommandContext, ConfigFlags } from './context.js';
import type { CheckFlags } from './check.js';
import type { GcFlags } from './gc.js';
import type { ExplainFlags } from './explain.js';
import { CliError, EXIT } from './exit.js';
import type { MigrateFlags } from './migrate.js';
import type { MirrorFlags } from './mirror.js';
import type { PoliciesFlags } from './policies.js';
import type { PrewarmFlags } from './prewarm.js';
import type { ServeFlags } from './serve.js';
import type { StatusFlags } from './status.js';
import type { SwapFlags } from './swap.js';
import { fileNames } from '../config/file-names.js';
import { ENGINE_NAMES } from '../core/engines/names.js';
import { VERSION } from '../version.js';

/** Runs one command line, loading only what its command needs; never rejects. @returns the exit code */
export async function runProgram(args: readonly string[], context: CommandContext): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = createProgram(context, (code) => (exitCode = code));
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (error instanceof CliError) {
      context.stderr.write(`${error.message}\n`);
      return error.exitCode;
    }
    if (error instanceof UnusableRegistriesError) {
      context.stderr.write(`${error.message}\n`);
      return EXIT.usage;
    }
    context.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return EXIT.infrastructure;
  }
}

const DOCS_URL = 'https://github.com/image-swapper/image-swapper/tree/main/docs';

const EXIT_CODES = `
Exit codes:
  ${EXIT.ok}  success
  ${EXIT.findings}  the command worked and found a problem, such as a failed copy or a missing permission
  ${EXIT.usage}  invalid usage, or an invalid configuration
  ${EXIT.infrastructure}  something external failed: the network, a registry, a cluster, a file`;

const EXAMPLES = {
  serve: ['serve --config image-swapper.yaml --listen-address :8443'],
  mirror: [
    'mirror nginx:1.27',
    'mirror --file images.txt',
    'mirror --file images.txt --dry-run',
    'mirror --file images.txt --to-layout carried',
    'mirror --from-layout carried',
  ],
  prewarm: ['prewarm --dry-run'],
  gc: ['gc --dry-run', 'gc --set gc.clusters=[east,west] --dry-run -o json'],
  explain: ['explain nginx:1.27 -n team-a', 'explain -f deployment.yaml --offline', 'explain -f - < pod.json'],
  swap: ['swap -f deployment.yaml', 'swap -f - --namespace team-a < rendered.yaml'],
  status: ['status', 'status --all --server http://127.0.0.1:8080'],
  check: ['check', 'check values.yaml', 'check --online', 'check --print'],
  policies: ['policies --engine kyverno', 'policies --engine gatekeeper --engine-values'],
  migrate: ['migrate values.yaml > new-values.yaml', 'migrate --engine kyverno .k8s-image-swapper.yaml'],
} as const satisfies Record<string, readonly string[]>;

/** The commands and flags, without running anything; the tests of the documentation also use it. */
export function createProgram(context: CommandContext, setExitCode: (code: number) => void): Command {
  const program = new Command('image-swapper')
    .description('mirrors images to your own registry and swaps them into Pods')
    .version(VERSION)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
    })
    .showSuggestionAfterError()
    .showHelpAfterError('see image-swapper --help')
    .addHelpText('after', `${EXIT_CODES}\n\nDocumentation: ${DOCS_URL}`);

  command(program, 'serve', 'run the extension service')
    .option('--listen-address <address>', 'admission address', ':8443')
    .option('--metrics-address <address>', 'operations address (plain HTTP): probes, metrics, /v1/mirrors', ':8080')
    .option('--http-listen-address <address>', 'a second, plain HTTP listener for the admission routes')
    .option('--tls-cert-file <pem>', 'serving certificate; without it the admission port uses plain HTTP')
    .option('--tls-key-file <pem>', 'private key of the serving certificate')
    .option('--dry-run', 'only decide, log and count; change and copy nothing')
    .action(async (flags: ServeFlags) => (await import('./serve.js')).serve(context, flags));

  command(program, 'mirror', 'copy images to their targets now')
    .argument('[images...]', 'image references')
    .option('--file <list>', 'read image references from a file, one per line; - for standard input')
    .option(
      '--audit',
      "check every part of each image, with the signatures, attestations and SBOMs of each platform's manifest; " +
        'a list is checked so once per mirror.audit.interval',
    )
    .option('--referrers', 'the same as --audit')
    .option('--to-layout <folder>', 'copy into an OCI image layout in this folder instead, to carry it elsewhere')
    .option('--from-layout <folder>', 'copy from such a folder, all of it or the images that are given; asks no source')
    .option('--dry-run', 'show what would be copied')
    .addOption(outputOption())
    .action(async (images: string[], flags: MirrorFlags) =>
      setExitCode(await (await import('./mirror.js')).mirror(context, images, flags)),
    );

  command(program, 'prewarm', "mirror every image that the cluster's workloads use")
    .option(
      '--kubeconfig <file>',
      'kubeconfig of the cluster (default: KUBECONFIG, the cluster of this Pod, or ~/.kube/config)',
    )
    .option('--dry-run', 'show what would be copied, and the minimum time that registry quotas allow')
    .addOption(outputOption())
    .action(async (flags: PrewarmFlags) => setExitCode(await (await import('./prewarm.js')).prewarm(context, flags)));

  command(program, 'gc', 'delete images from the targets that no cluster has used for long')
    .option('--dry-run', 'show what would be deleted, and why the rest stays')
    .addOption(outputOption())
    .action(async (flags: GcFlags) => setExitCode(await (await import('./gc.js')).gc(context, flags)));

  command(program, 'explain', 'show what happens to an image or a Pod, and why')
    .argument('[image]', 'image reference')
    .option('-f, --file <manifest>', 'Pods, workloads, lists or AdmissionReviews (YAML or JSON); - for standard input')
    .option('-n, --namespace <namespace>', 'namespace of the Pod', 'default')
    .option('--offline', 'do not contact the target')
    .option(
      '--server <url>',
      'ask a running service, which also knows the state of copies, instead of deciding locally',
    )
    .option('--ca-file <pem>', 'CA certificate of that service')
    .addOption(outputOption())
    .action(async (image: string | undefined, flags: ExplainFlags) =>
      setExitCode(await (await import('./explain.js')).explain(context, image, flags)),
    );

  command(program, 'swap', 'print manifests with the images that their Pods would get')
    .option('-f, --file <manifests>', 'YAML or JSON: workloads, lists, a ResourceList; - for standard input')
    .option('-n, --namespace <namespace>', 'namespace of objects that name none', 'default')
    .option('--exists', 'keep images that the target does not have; without it, the target is not checked')
    .option('--in-place', 'write the file instead of printing it')
    .action(async (flags: SwapFlags) => setExitCode(await (await import('./swap.js')).swap(context, flags)));

  command(program, 'status', 'show the copies of a running service: queued, running, failed, and why')
    .option('--server <url>', 'URL of its operations port', 'http://127.0.0.1:8080')
    .option('--ca-file <pem>', 'CA certificate, for https')
    .option('--all', 'also show finished copies')
    .addOption(outputOption())
    .action(async (flags: StatusFlags & ConfigFlags) => {
      warnOfIgnoredFlags(context, 'status', flags);
      setExitCode(await (await import('./status.js')).status(context, flags));
    });

  command(program, 'check', 'validate the configuration')
    .argument('[file]', 'configuration file or Helm values of the chart; instead of --config')
    .option(
      '--online',
      'also check that every registry is reachable, the credentials and permissions, and the policies in the cluster',
    )
    .option('--print', 'print the effective configuration and the origin of each value')
    .addOption(outputOption())
    .action(async (file: string | undefined, flags: CheckFlags) =>
      setExitCode(await (await import('./check.js')).check(context, file, flags)),
    );

  command(program, 'policies', 'print the admission policies for this configuration')
    .addOption(new Option('--engine <engine>', 'policy engine').choices([...ENGINE_NAMES]))
    .option('--url <url>', 'base URL at which the engine reaches the service (default: policies.url)')
    .option('--ca-file <pem>', 'CA certificate of the service; - for standard input')
    .option(
      '--ca-config-map <namespace/name[:key]>',
      'ConfigMap from which kyverno-clusterpolicy reads the CA certificate at each request (default key: ca.crt)',
    )
    .option('--fail-closed', 'refuse Pods while the service is unavailable (default: policies.failClosed)')
    .option('--engine-values', "print the values that the engine's own Helm chart needs, instead of policies")
    .option('--delete-managed', 'delete the policies that the service wrote with policies.manage, to uninstall it')
    .option('--namespace <namespace>', "with --delete-managed: namespace of the service, if it is not the kubeconfig's")
    .action(async (flags: PoliciesFlags) => (await import('./policies.js')).policies(context, flags));

  command(
    program,
    'migrate',
    'convert k8s-image-swapper Helm values, or its configuration file, to image-swapper Helm values',
  )
    .argument('<values>', 'values.yaml or .k8s-image-swapper.yaml; - for standard input')
    .addOption(
      new Option('--engine <engine>', 'policy engine to use')
        .choices([...new Set(['webhook', ...ENGINE_NAMES, 'none'])])
        .default('webhook'),
    )
    .addOption(outputOption())
    .action(async (values: string, flags: MigrateFlags & ConfigFlags) => {
      warnOfIgnoredFlags(context, 'migrate', flags);
      setExitCode(await (await import('./migrate.js')).migrate(context, values, flags));
    });

  return program;
}

function command(program: Command, name: keyof typeof EXAMPLES, description: string): Command {
  const examples = EXAMPLES[name].map((line) => `  $ image-swapper ${line}`).join('\n');
  return program
    .command(name)
    .description(description)
    .exitOverride()
    .showHelpAfterError(`see image-swapper ${name} --help`)
    .addHelpText('after', `\nExamples:\n${examples}\n${EXIT_CODES}`)
    .option('--config <file>', `configuration file (default: ${fileNames.join(', ')} in the current or home folder)`)
    .option('--log-level <level>', 'trace, debug, info, warn, error, fatal')
    .option('--log-format <format>', 'json or console')
    .addOption(
      new Option('--set <key=value>', 'any configuration key, repeatable: --set target.oci.prefix=mirror').argParser(
        (value, before: readonly string[] | undefined) => [...(before ?? []), value],
      ),
    );
}

/** Every command accepts the configuration's flags; these two commands ignore them. */
function warnOfIgnoredFlags(context: CommandContext, name: string, flags: ConfigFlags): void {
  const flagValues = {
    '--config': flags.config,
    '--set': flags.set,
    '--log-level': flags.logLevel,
    '--log-format': flags.logFormat,
  };
  for (const [flag, value] of Object.entries(flagValues)) {
    if (value !== undefined)
      context.stderr.write(`warning: ${flag} has no effect on ${name}, which reads no configuration\n`);
  }
}

function outputOption(): Option {
  return new Option('-o, --output <format>', 'output format').choices(['text', 'json', 'yaml']).default('text');
}
