import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import ts from 'typescript';

/** Maps each file below a folder to the files that it imports, including type imports. Paths are relative. */
export type ImportGraph = ReadonlyMap<string, ReadonlySet<string>>;

/** @param folder absolute path of a source tree of ES modules, whose imports end in `.js` */
export function importGraph(folder: string): ImportGraph {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.endsWith('.ts') && !path.endsWith('.d.ts'),
  );
  const known = new Set(files);
  return new Map(
    files.map((file) => {
      const { importedFiles } = ts.preProcessFile(readFileSync(join(folder, file), 'utf8'));
      const targets = importedFiles
        .filter(({ fileName }) => fileName.startsWith('.'))
        .map(({ fileName }) => join(dirname(file), fileName.replace(/\.js$/, '.ts')));
      return [file, new Set(targets.filter((target) => known.has(target)))];
    }),
  );
}

/** Pairs of top-level folders that import each other: `a <-> b`. */
export function mutualFolders(graph: ImportGraph): string[] {
  const arrows = new Set<string>();
  for (const [file, imports] of graph) {
    for (const imported of imports) arrows.add(`${roomOf(file)} ${roomOf(imported)}`);
  }
  return [...arrows]
    .map((arrow) => arrow.split(' '))
    .filter(([from = '', to = '']) => from < to && arrows.has(`${to} ${from}`))
    .map((pair) => pair.join(' <-> '))
    .sort();
}

/** Import cycles: the sorted files of each group, joined with spaces. */
export function importCircles(graph: ImportGraph): string[] {
  const reached = new Map([...graph.keys()].map((file) => [file, reachableFrom(graph, file)]));
  const circles = new Set<string>();
  for (const [file, from] of reached) {
    if (!from.has(file)) continue;
    const circle = [...from].filter((other) => reached.get(other)?.has(file) === true);
    circles.add(circle.sort().join(' '));
  }
  return [...circles].sort();
}

function reachableFrom(graph: ImportGraph, start: string): ReadonlySet<string> {
  const seen = new Set<string>();
  const open = [...(graph.get(start) ?? [])];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    open.push(...(graph.get(file) ?? []));
  }
  return seen;
}

function roomOf(file: string): string {
  return file.split(sep)[0] ?? file;
}
