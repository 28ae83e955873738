import type { ConfigInput, LoadedConfig } from '../../../extension-service/src/config/parse.js';
import { parseConfig } from '../../../extension-service/src/config/parse.js';
import { ConfigError, formatProblem } from '../../../extension-service/src/config/problem.js';

/** A complete target in one line. */
export const target = 'target: {type: oci, oci: {registry: "registry.example.com"}}\n';

/** A configuration with a target in ECR. `lines` begin at line 6. */
export function aws(lines: string): string {
  return `target:\n  type: aws\n  aws:\n    accountId: "123456789012"\n    region: eu-central-1\n${lines}`;
}

/** A configuration with a target in another registry. `lines` begin at line 5. */
export function oci(lines: string): string {
  return `target:\n  type: oci\n  oci:\n    registry: registry.example.com\n${lines}`;
}

export function parse(text: string, more: Partial<ConfigInput> = {}): LoadedConfig {
  return parseConfig({ text, file: 'image-swapper.yaml', ...more });
}

/** Parses a configuration file of k8s-image-swapper. */
export function parseLegacy(text: string, more: Partial<ConfigInput> = {}): LoadedConfig {
  return parse(text, { file: '.k8s-image-swapper.yaml', ...more });
}

/** The problems that the loader finds in the text, without the file name. Empty for a valid text. */
export function problemsOf(text: string, more: Partial<ConfigInput> = {}): readonly string[] {
  try {
    parse(text, more);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.split('\n').map(withoutFile);
  }
}

export function warningsOf({ warnings }: LoadedConfig): readonly string[] {
  return warnings.map((warning) => withoutFile(formatProblem(warning)));
}

function withoutFile(line: string): string {
  return line.replace(/^\.?(?:k8s-)?image-swapper\.yaml:/, '');
}
