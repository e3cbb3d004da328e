#!/usr/bin/env node
// Checks Grafana dashboards against the types Grafana publishes: node schema.mjs FILE.json...
//
// Each file is handed to the TypeScript compiler as an object literal typed `Dashboard` of @grafana/schema, because
// only for literals does the compiler also report unknown properties. The JSON text goes in unchanged, so every
// message has the line and column of the JSON file; duplicate keys are found on the way. In an object that also has a
// value of a wrong type, the compiler reports an unknown property only after that is mended.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const here = path.dirname(fileURLToPath(import.meta.url));
const schemaRoot = path.join(here, 'node_modules/@grafana/schema');

/** Modules of @grafana/schema describing panel options, by panel type in lower case without dashes. */
function panelModules() {
  const modules = new Map();
  const exported = JSON.parse(fs.readFileSync(path.join(schemaRoot, 'package.json'), 'utf8')).exports;
  for (const [name, target] of Object.entries(exported)) {
    const plugin = name.match(/\/composable\/(\w+)\/panelcfg\//)?.[1];
    if (!plugin) continue;
    const types = fs.readFileSync(path.join(schemaRoot, target.types), 'utf8');
    const declares = (type) => new RegExp(`export (interface|type) ${type}\\b`).test(types);
    modules.set(plugin, {
      options: declares('Options') && `import('@grafana/schema${name.slice(1)}').Options`,
      custom: declares('FieldConfig') && `import('@grafana/schema${name.slice(1)}').FieldConfig`,
    });
  }
  return modules;
}

// Grafana's types describe values in its own TypeScript code; a file differs from them in four ways:
// - JSON writes the value of a string enum, so an enum becomes the union of its values (`${Enum}`).
// - A panel's missing options are filled from the plugin's defaults, so every one of them may be absent.
// - `custom` is intersected with Record<string, unknown>, which would let any misspelt property through.
// - Some properties Grafana itself writes are missing from the published types; Variable, Annotation and Board add them.
const PRELUDE = `
type Json<T> = T extends string ? \`\${T}\` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
type Defaulted<T> = T extends string ? \`\${T}\` : T extends unknown[] ? { [K in keyof T]: Json<T[K]> }
  : T extends object ? { [K in keyof T]?: Defaulted<T[K]> } : T;
type With<T, Changes> = Omit<T, keyof Changes> & Changes;
type Target = Json<import('@grafana/schema').DataQuery> & Record<string, unknown>;
type Field<Custom> = With<Json<import('@grafana/schema').FieldConfig>, { custom?: Defaulted<Custom> }>;
type Panel<Options, Custom> = With<Json<import('@grafana/schema').Panel>, {
  options?: Defaulted<Options>; targets?: Target[];
  fieldConfig?: With<Json<import('@grafana/schema').FieldConfigSource>, { defaults: Field<Custom> }> }>;
type Row<Panels> = With<Json<import('@grafana/schema').RowPanel>, { panels: Panels }>;
type Anything = Record<string, unknown>;
type Variable = Json<import('@grafana/schema').VariableModel>
  & { definition?: string; auto?: boolean; auto_min?: string; auto_count?: number };
type Annotation = With<Json<import('@grafana/schema').AnnotationQuery>, { target?: Anything }>
  & { expr?: string; step?: string; titleFormat?: string; textFormat?: string; tagKeys?: string; useValueForTime?: boolean };
type Board<Panels> = With<Json<import('@grafana/schema').Dashboard>, {
  panels?: Panels; templating?: { list?: Variable[] }; annotations?: { list?: Annotation[] } }>
  & { __inputs?: Anything[]; __elements?: Anything; __requires?: Anything[] };
`;

/** The TypeScript type of one panel: exact per panel type, so that messages name the property and not a union. */
function panelType(panel, modules, note) {
  if (panel?.type === 'row') return `Row<${tuple(panel.panels, modules, note)}>`;
  const types = modules.get(String(panel?.type).toLowerCase().replaceAll('-', ''));
  if (!types) note(`panel type ${JSON.stringify(panel?.type)}: its options are not checked, no types published`);
  return `Panel<${types?.options || 'Anything'}, ${types?.custom || 'Anything'}>`;
}

const tuple = (panels, modules, note) =>
  Array.isArray(panels) ? `[${panels.map((panel) => panelType(panel, modules, note)).join(', ')}]` : 'unknown[]';

/** Compiles the texts (absolute name -> TypeScript) without writing them anywhere. */
function compile(texts) {
  const options = {
    strict: true, noEmit: true, skipLibCheck: true, types: [], lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'],
    target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler,
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (name) => texts.has(name) || fileExists(name);
  host.getSourceFile = (name, target, ...rest) =>
    texts.has(name) ? ts.createSourceFile(name, texts.get(name), target) : getSourceFile(name, target, ...rest);
  const program = ts.createProgram([...texts.keys()], options, host);
  return [...program.getOptionsDiagnostics(), ...[...texts.keys()].flatMap((name) => {
    const source = program.getSourceFile(name);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
  })];
}

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error('usage: node schema.mjs FILE.json...');
  process.exit(2);
}

let problems = 0;
const report = (message) => { problems += 1; console.log(message); };
const modules = panelModules();
const texts = new Map();
const fileOf = new Map();
const head = PRELUDE.replaceAll('\n', ' ');
files.forEach((file, index) => {
  const json = fs.readFileSync(file, 'utf8');
  let dashboard;
  try {
    dashboard = JSON.parse(json);
  } catch (error) {
    return report(`${file}: ${error.message}`);
  }
  const type = `Board<${tuple(dashboard.panels, modules, (text) => console.error(`note: ${file}: ${text}`))}>`;
  // The virtual file lives next to node_modules so that its imports resolve from there; all the kit's own text is on
  // its first line, which leaves the line numbers of the JSON one lower than those of the virtual file.
  const name = path.join(here, `dashboard-${index}.ts`);
  texts.set(name, `${head} export const dashboard: ${type} =\n${json}`);
  fileOf.set(name, file);
});

for (const { file: source, start, messageText } of compile(texts)) {
  const message = ts.flattenDiagnosticMessageText(messageText, '\n');
  if (!source) { report(message); continue; }
  const { line, character } = source.getLineAndCharacterOfPosition(start);
  report(`${fileOf.get(source.fileName)}:${line}:${character + 1}: ${message}`);
}
console.error(`${files.length} dashboard(s) checked, ${problems} problem(s)`);
process.exit(problems > 0 ? 1 : 0);
