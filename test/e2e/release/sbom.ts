import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { root } from './made-release.js';

export interface Sbom {
  readonly components: readonly { readonly name: string; readonly version: string; readonly purl: string }[];
}

/**
 * Reads the CycloneDX schema and the two schemas that it refers to. Returns a function that gives the errors of a
 * document, or '' for a valid one.
 */
export function cyclonedx(): (document: unknown) => string {
  const folder = join(root, 'node_modules/@cyclonedx/cyclonedx-library/res/schema');
  const read = (name: string): object =>
    JSON.parse(readFileSync(join(folder, `${name}.SNAPSHOT.schema.json`), 'utf8')) as object;
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
  ajv.addSchema(read('spdx'), 'http://cyclonedx.org/schema/spdx.SNAPSHOT.schema.json');
  ajv.addSchema(read('jsf-0.82'), 'http://cyclonedx.org/schema/jsf-0.82.SNAPSHOT.schema.json');
  const validate = ajv.compile(read('bom-1.5'));
  return (document) => (validate(document) ? '' : JSON.stringify(validate.errors, null, 1));
}
