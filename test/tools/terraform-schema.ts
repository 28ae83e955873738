import ts from 'typescript';

/** One argument or block of a resource. */
export interface SchemaField {
  readonly required: boolean;
  /** Name of the block type; undefined for plain values. */
  readonly block?: string;
}

/** Schema of a resource type, read from its typed bindings. Names are those of HCL. */
export interface ResourceSchema {
  /** Name of the block with the arguments of the resource itself. */
  readonly root: string;
  readonly blocks: ReadonlyMap<string, ReadonlyMap<string, SchemaField>>;
  /** Attributes that expressions can reference, including the arguments. */
  readonly attributes: ReadonlySet<string>;
}

/**
 * Reads a provider's schema from the declarations of its typed bindings. The documentation link of each argument
 * contains its name in HCL. An argument is optional where the property of the binding is optional.
 */
export function readSchema(declarations: string): ResourceSchema {
  const file = ts.createSourceFile('index.d.ts', declarations, ts.ScriptTarget.Latest, true);
  const blocks = new Map<string, Map<string, SchemaField>>();
  const attributes = new Set<string>();
  let root = '';
  for (const statement of file.statements) {
    if (ts.isInterfaceDeclaration(statement)) {
      const name = statement.name.text;
      if (statement.heritageClauses?.some((clause) => clause.getText().includes('TerraformMetaArguments')) === true) {
        root = name;
      }
      blocks.set(name, fieldsOf(statement, file));
    }
    if (
      ts.isClassDeclaration(statement) &&
      /extends cdktf\.Terraform(?:Resource|DataSource)\b/.test(statement.getText())
    ) {
      for (const member of statement.members) {
        if (ts.isGetAccessorDeclaration(member)) attributes.add(toSnakeCase(member.name.getText()));
      }
    }
  }
  // A block that is not declared in this file is treated as a plain value.
  for (const fields of blocks.values()) {
    for (const [name, field] of fields) {
      if (field.block !== undefined && !blocks.has(field.block)) fields.set(name, { required: field.required });
    }
  }
  return { root, blocks, attributes };
}

function fieldsOf(declaration: ts.InterfaceDeclaration, file: ts.SourceFile): Map<string, SchemaField> {
  const fields = new Map<string, SchemaField>();
  for (const member of declaration.members) {
    if (!ts.isPropertySignature(member)) continue;
    const comment = file.text.slice(member.getFullStart(), member.getStart());
    const documented = /#([a-z0-9_]+) [A-Za-z0-9]+#/.exec(comment)?.[1];
    const type = /\b([A-Z][A-Za-z0-9]+)\b/.exec(
      (member.type?.getText() ?? '').replaceAll('cdktf.IResolvable', ''),
    )?.[1];
    fields.set(documented ?? toSnakeCase(member.name.getText()), {
      required: member.questionToken === undefined,
      ...(type !== undefined && { block: type }),
    });
  }
  return fields;
}

function toSnakeCase(name: string): string {
  return name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toLowerCase();
}
