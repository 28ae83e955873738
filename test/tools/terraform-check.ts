import { readSchema } from './terraform-schema.js';
import type { ResourceSchema } from './terraform-schema.js';
import type { TerraformFiles, TerraformTools } from './terraform.js';

type Body = Readonly<Record<string, unknown>>;

const META = new Set([
  'count',
  'for_each',
  'depends_on',
  'provider',
  'lifecycle',
  'provisioner',
  'connection',
  'dynamic',
]);

/**
 * Checks a Terraform folder against the provider's schema. Returns the problems: unknown resource types, arguments and
 * blocks, missing arguments, and references that do not resolve. The list is empty for a valid folder.
 */
export async function checkTerraform(tools: TerraformTools, files: TerraformFiles): Promise<readonly string[]> {
  const problems: string[] = [];
  const schemas = new Map<string, ResourceSchema>();
  for (const kind of ['resource', 'data'] as const) {
    for (const [type, named] of Object.entries(files[kind] ?? {})) {
      const declarations = await tools.declarations(kind, type);
      if (declarations === undefined) {
        problems.push(`${kind} ${type}: the provider has no such type`);
        continue;
      }
      const schema = readSchema(declarations);
      schemas.set(kind === 'data' ? `data.${type}` : type, schema);
      for (const [name, bodies] of Object.entries(named as Readonly<Record<string, readonly Body[]>>)) {
        for (const body of bodies) checkBody(`${type}.${name}`, body, schema, schema.root, problems);
      }
    }
  }
  checkReferences(files, schemas, problems);
  return problems;
}

function checkBody(where: string, body: Body, schema: ResourceSchema, block: string, problems: string[]): void {
  const fields = schema.blocks.get(block) ?? new Map<string, { required: boolean; block?: string }>();
  const dynamic = (body['dynamic'] ?? {}) as Readonly<Record<string, readonly Body[]>>;
  const given: readonly (readonly [string, unknown])[] = [
    ...Object.entries(body).filter(([key]) => key !== 'dynamic'),
    ...Object.entries(dynamic).map(([key, blocks]) => [key, blocks.flatMap((one) => one['content'])] as const),
  ];
  for (const [key, value] of given) {
    const field = fields.get(key);
    if (field === undefined) {
      if (!(block === schema.root && META.has(key))) problems.push(`${where}: there is no ${key}`);
      continue;
    }
    const inner = field.block;
    if (inner === undefined || !Array.isArray(value)) continue;
    for (const one of value as readonly unknown[]) {
      if (typeof one === 'object' && one !== null) checkBody(`${where}.${key}`, one as Body, schema, inner, problems);
    }
  }
  const names = new Set(given.map(([key]) => key));
  for (const [key, { required }] of fields) {
    if (required && !names.has(key)) problems.push(`${where}: ${key} is missing`);
  }
}

function checkReferences(
  files: TerraformFiles,
  schemas: ReadonlyMap<string, ResourceSchema>,
  problems: string[],
): void {
  const declared = (kind: string): ReadonlySet<string> => new Set(Object.keys(files[kind] ?? {}));
  const locals = new Set(((files['locals'] ?? []) as unknown as readonly Body[]).flatMap((one) => Object.keys(one)));
  const found = new Set<string>();
  for (const text of expressions(files)) {
    for (const [, name = ''] of text.matchAll(/\bvar\.(\w+)/g)) {
      if (!declared('variable').has(name)) found.add(`there is no variable ${name}`);
    }
    for (const [, name = ''] of text.matchAll(/\blocal\.(\w+)/g))
      if (!locals.has(name)) found.add(`there is no local ${name}`);
    for (const [, name = ''] of text.matchAll(/\bmodule\.(\w+)/g)) {
      if (!declared('module').has(name)) found.add(`there is no module ${name}`);
    }
    const resource = /(?<![\w.])(data\.)?((?:google|aws|helm)_\w+)\.(\w+)(?:\[[^\]]*\])?(?:\.(\w+))?/g;
    for (const [whole, data, type = '', name = '', attribute] of text.matchAll(resource)) {
      const named = (files[data === undefined ? 'resource' : 'data']?.[type] ?? {}) as Body;
      if (!(name in named)) {
        found.add(`${whole} refers to nothing`);
        continue;
      }
      const schema = schemas.get(`${data ?? ''}${type}`);
      if (attribute !== undefined && schema !== undefined && !schema.attributes.has(attribute) && attribute !== 'id') {
        found.add(`${whole}: the type has no attribute ${attribute}`);
      }
    }
  }
  problems.push(...found);
}

/** Yields every `${…}` expression in the files. */
function* expressions(value: unknown): Generator<string> {
  if (typeof value === 'string') {
    if (value.includes('${')) yield value;
  } else if (typeof value === 'object' && value !== null) {
    for (const child of Object.values(value)) yield* expressions(child);
  }
}
