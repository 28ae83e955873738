import ts from 'typescript';

/** One argument or block of a resource. */
export interface SchemaField {
  readonly required: boolean;
  /** The content of the block; undefined for plain values. */
  readonly block?: string;
}

/** A resource type by its bindings: names as in HCL. */
export interface ResourceSchema {
  /** Arguments of the resource itself. */
  readonly root: string;
  readonly blocks: ReadonlyMap<string, ReadonlyMap<string, SchemaField>>;
  /** The attributes that can be referenced, arguments included. */
  readonly attributes: ReadonlySet<string>;
}

/**
 * Reads a provider's schema out of the declarations of its typed bindings: each argument carries its name in HCL in the
 * link to its documentation, and is optional where the binding's property is.
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
        if (ts.isGetAccessorDeclaration(member)) attributes.add(snake(member.name.getText()));
      }
    }
  }
  // Only blocks that are declared here can be looked into.
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
    fields.set(documented ?? snake(member.name.getText()), {
      required: member.questionToken === undefined,
      ...(type !== undefined && { block: type }),
    });
  }
  return fields;
}

function snake(name: string): string {
  return name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toLowerCase();
}
