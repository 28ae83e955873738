import { existsSync, readFileSync } from 'node:fs';
import { REGISTRY_TYPES } from '../../../extension-service/src/kinds/kinds.js';

/**
 * Hooks that a kind's `chart.tpl` may define, as `image-swapper.TYPE.HOOK`; `place` is required. A hook gets a dict of
 * `registry` (the kind's settings), `key` (such as `config.target.aws`) and `namespace` (the release's).
 *
 * - `place`: JSON `{host, path}` of the images in a target
 * - `normalize`: changes the settings in place before they go into the ConfigMap
 * - `warnings`: lines of a YAML list of sentences for NOTES.txt
 * - `secrets`: a JSON list of `{name, namespace}`, Secrets that the service reads
 * - `podLabels`, `serviceAccountAnnotations`: a YAML mapping
 */
const HOOKS = ['normalize', 'warnings', 'secrets', 'podLabels', 'serviceAccountAnnotations'] as const;

const kinds = new URL('../../../extension-service/src/kinds/', import.meta.url);

/** Renders `templates/_kinds.tpl`: the templates of all kinds, and for each hook the list of kinds that define it. */
export function kindTemplates(): string {
  const texts = REGISTRY_TYPES.map((type) => ({ type, text: templateOf(type) }));
  const list = (name: string, types: readonly string[]): string =>
    `{{- define "image-swapper.${name}" -}}${JSON.stringify(types)}{{- end }}\n`;
  const withHook = (hook: string): string[] =>
    texts.filter(({ type, text }) => text.includes(definition(type, hook))).map(({ type }) => type);
  return [
    '{{- /* Written by "npm run generate" from extension-service/src/kinds; do not edit. */ -}}\n',
    list('kinds', REGISTRY_TYPES),
    ...HOOKS.map((hook) => list(`kindsWith.${hook}`, withHook(hook))),
    ...texts.map(({ text }) => `\n${text}`),
  ].join('');
}

function templateOf(type: string): string {
  const file = new URL(`${type}/chart.tpl`, kinds);
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  if (!text.includes(definition(type, 'place'))) throw new Error(`src/kinds/${type}/chart.tpl defines no place`);
  return text;
}

function definition(type: string, hook: string): string {
  return `define "image-swapper.${type}.${hook}"`;
}
