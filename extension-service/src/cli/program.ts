import { Command, CommanderError, Option } from 'commander';
import type { CommandContext } from './context.js';
import type { CheckFlags } from './check.js';
import type { ExplainFlags } from './explain.js';
import { CliError, EXIT } from './exit.js';
import type { MigrateFlags } from './migrate.js';
import type { MirrorFlags } from './mirror.js';
import type { PoliciesFlags } from './policies.js';
import type { PrewarmFlags } from './prewarm.js';
import type { ServeFlags } from './serve.js';
import type { StatusFlags } from './status.js';
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
    context.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return EXIT.infrastructure;
  }
}

/** The commands and flags, without running anything; the documentation's tests read it too. */
export function createProgram(context: CommandContext, setExitCode: (code: number) => void): Command {
  const program = new Command('image-swapper')
    .description('Pods get their images from your own registry, mirrored there automatically')
    .version(VERSION)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
    })
    .showSuggestionAfterError();

  command(program, 'serve', 'run the extension service')
    .option('--listen-address <address>', 'admission port', ':8443')
    .option('--metrics-address <address>', 'plain HTTP: probes, metrics, /v1/mirrors', ':8080')
    .option('--http-listen-address <address>', 'a second, plain HTTP listener for the admission routes')
    .option('--tls-cert-file <pem>', 'serving certificate; without it the admission port is plain HTTP')
    .option('--tls-key-file <pem>', 'its private key')
    .option('--dry-run', 'decide, log and count; change and copy nothing')
    .action(async (flags: ServeFlags) => (await import('./serve.js')).serve(context, flags));

  command(program, 'mirror', 'copy images to their target now')
    .argument('[images...]', 'image references')
    .option('--file <list>', 'read image references from a file, one a line; - for standard input')
    .option('--referrers', 'look for signatures, attestations and SBOMs of every manifest, in every form')
    .option('--dry-run', 'show what would be copied')
    .addOption(outputOption())
    .action(async (images: string[], flags: MirrorFlags) =>
      setExitCode(await (await import('./mirror.js')).mirror(context, images, flags)),
    );

  command(program, 'prewarm', "mirror every image that the cluster's workloads use")
    .option('--kubeconfig <file>', 'the cluster; else KUBECONFIG, the own cluster of a Pod, or ~/.kube/config')
    .option('--dry-run', 'show what would be copied, and how long the quotas of the registries make it last')
    .addOption(outputOption())
    .action(async (flags: PrewarmFlags) => setExitCode(await (await import('./prewarm.js')).prewarm(context, flags)));

  command(program, 'explain', 'show what happens to an image or a Pod, and why')
    .argument('[image]', 'image reference')
    .option('-f, --file <pod>', 'a Pod manifest (YAML or JSON); - for standard input')
    .option('-n, --namespace <namespace>', 'namespace of the Pod', 'default')
    .option('--offline', 'do not look into the target')
    .option('--server <url>', 'ask a running service, which also knows its copies, instead of deciding here')
    .option('--ca-file <pem>', 'certificate authority of that service')
    .addOption(outputOption())
    .action(async (image: string | undefined, flags: ExplainFlags) =>
      setExitCode(await (await import('./explain.js')).explain(context, image, flags)),
    );

  command(program, 'status', 'show the copies of a running service: queued, running, failed, and why')
    .option('--server <url>', 'its operations port', 'http://127.0.0.1:8080')
    .option('--ca-file <pem>', 'certificate authority, for https')
    .option('--all', 'also what is done')
    .addOption(outputOption())
    .action(async (flags: StatusFlags) => setExitCode(await (await import('./status.js')).status(context, flags)));

  command(program, 'check', 'validate the configuration')
    .option(
      '--online',
      'also check credentials, reachability and permissions of every registry, and the policies in the cluster',
    )
    .option('--print', 'print the configuration in force, with where each value comes from')
    .addOption(outputOption())
    .action(async (flags: CheckFlags) => setExitCode(await (await import('./check.js')).check(context, flags)));

  command(program, 'policies', 'print the admission policies for this configuration')
    .addOption(new Option('--engine <engine>', 'policy engine').choices([...ENGINE_NAMES]))
    .option('--url <url>', 'base URL at which the engine reaches the service; policies.url unless given')
    .option('--ca-file <pem>', 'certificate authority of the service; - for standard input')
    .option(
      '--ca-config-map <namespace/name[:key]>',
      'where kyverno-clusterpolicy reads the authority at each request instead; key ca.crt unless given',
    )
    .option('--fail-closed', 'refuse Pods while the service cannot answer; as policies.failClosed unless given')
    .option('--engine-values', "print the values that the engine's own Helm chart needs, instead")
    .option('--delete-managed', 'instead delete those that the service wrote under policies.manage, to uninstall it')
    .option('--namespace <namespace>', "with --delete-managed: the service's, if it is not that of the kubeconfig")
    .action(async (flags: PoliciesFlags) => (await import('./policies.js')).policies(context, flags));

  command(
    program,
    'migrate',
    "print our chart's values from those of k8s-image-swapper, or from its configuration file",
  )
    .argument('<values>', 'values.yaml or .k8s-image-swapper.yaml; - for standard input')
    .addOption(
      new Option('--engine <engine>', 'whose policies are to ask the service')
        .choices([...new Set(['webhook', ...ENGINE_NAMES, 'none'])])
        .default('webhook'),
    )
    .addOption(outputOption())
    .action(async (values: string, flags: MigrateFlags) =>
      setExitCode(await (await import('./migrate.js')).migrate(context, values, flags)),
    );

  return program;
}

function command(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .exitOverride()
    .option('--config <file>', 'configuration file')
    .option('--log-level <level>', 'trace, debug, info, warn, error')
    .option('--log-format <format>', 'json or console')
    .addOption(
      new Option('--set <key=value>', 'any configuration key, repeatable: --set target.oci.prefix=mirror').argParser(
        (value, before: readonly string[] | undefined) => [...(before ?? []), value],
      ),
    );
}

function outputOption(): Option {
  return new Option('-o, --output <format>', 'output format').choices(['text', 'json', 'yaml']).default('text');
}
