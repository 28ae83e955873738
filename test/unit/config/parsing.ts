import type { ConfigInput, LoadedConfig } from '../../../extension-service/src/config/parse.js';
import { parseConfig } from '../../../extension-service/src/config/parse.js';
import { ConfigError, formatProblem } from '../../../extension-service/src/config/problem.js';

/** A whole target in one line. */
export const target = 'target: {type: oci, oci: {registry: "registry.example.com"}}\n';

/** A target in ECR, with further lines from the sixth on. */
export function aws(lines: string): string {
  return `target:\n  type: aws\n  aws:\n    accountId: "123456789012"\n    region: eu-central-1\n${lines}`;
}

/** A target in another registry, with further lines from the fifth on. */
export function oci(lines: string): string {
  return `target:\n  type: oci\n  oci:\n    registry: registry.example.com\n${lines}`;
}

export function parse(text: string, more: Partial<ConfigInput> = {}): LoadedConfig {
  return parseConfig({ text, file: 'image-swapper.yaml', ...more });
}

/** As k8s-image-swapper's own file. */
export function parseAnchor(text: string, more: Partial<ConfigInput> = {}): LoadedConfig {
  return parse(text, { file: '.k8s-image-swapper.yaml', ...more });
}

/** The loader's problems with the text, without the file name; empty if it is valid. */
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
