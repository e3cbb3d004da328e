// Kubernetes objects against the published types of their kinds, without a cluster.
//
//   node objects.mjs FILE.yaml ...        prints one line a problem; exit status 1 where there is one
//
// Twice: by the TypeScript compiler, which knows every field's name and type, and by the validators that come with the
// types, which know patterns, ranges and formats. Neither knows admission rules, defaults, or whether what is named exists.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import YAML from 'yaml';

const MODULES = path.join(import.meta.dirname, 'node_modules');
const PACKAGES = ['kubernetes-models', ...fs.readdirSync(path.join(MODULES, '@kubernetes-models')).filter((name) => name !== 'base').map((name) => `@kubernetes-models/${name}`)];
const SOURCE = path.join(import.meta.dirname, 'objects.generated.ts'); // never written: the compiler is handed its text

// The module that declares a kind, such as kubernetes-models/apps/v1/Deployment.
function moduleOf(apiVersion, kind) {
  const inside = `${apiVersion}/${kind}`;
  for (const name of PACKAGES) {
    const declared = path.join(MODULES, name, `${inside}.d.ts`);
    if (fs.existsSync(declared) && fs.readFileSync(declared, 'utf8').includes(`"apiVersion": "${apiVersion}"`)) return `${name}/${inside}`;
  }
  return null;
}

function read(files) {
  const objects = [];
  const problems = [];
  for (const file of files)
    for (const document of YAML.parseAllDocuments(fs.readFileSync(file, 'utf8'), { uniqueKeys: true })) {
      for (const error of document.errors) problems.push(`${file}: ${error.message}`);
      const value = document.toJS();
      if (!value) continue;
      const name = `${path.basename(file)}: ${value.kind} ${value.metadata?.name}`;
      const module = moduleOf(value.apiVersion ?? '', value.kind ?? '');
      if (module) objects.push({ name, value, module });
      else problems.push(`${name}: there is no ${value.kind} in ${value.apiVersion}`);
    }
  return { objects, problems };
}

function compiled(objects) {
  const lines = [];
  const starts = [];
  objects.forEach(({ name, value, module }, number) => {
    lines.push(`import type { I${value.kind} as T${number} } from ${JSON.stringify(module)};`);
    starts.push({ line: lines.length, name });
    lines.push(...`export const v${number}: T${number} = ${JSON.stringify(value, null, 1)};`.split('\n'));
  });
  const text = lines.join('\n');
  const options = { noEmit: true, strict: true, skipLibCheck: true, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, target: ts.ScriptTarget.ES2022, types: [] };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (file) => file === SOURCE || fileExists(file);
  host.getSourceFile = (file, ...more) => (file === SOURCE ? ts.createSourceFile(file, text, options.target) : getSourceFile(file, ...more));
  return ts.getPreEmitDiagnostics(ts.createProgram([SOURCE], options, host)).map((diagnostic) => {
    const line = diagnostic.file ? diagnostic.file.getLineAndCharacterOfPosition(diagnostic.start).line : 0;
    const owner = starts.findLast((start) => start.line <= line)?.name ?? '';
    return `${owner}: ${lines[line]?.trim()}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ')}`;
  });
}

async function validated({ name, value, module }) {
  const models = await import(pathToFileURL(path.join(MODULES, `${module}.js`)));
  try {
    new models[value.kind](structuredClone(value)).validate();
    return [];
  } catch (error) {
    return [`${name}: ${error.message}`];
  }
}

const { objects, problems } = read(process.argv.slice(2));
problems.push(...compiled(objects));
for (const object of objects) problems.push(...(await validated(object)));
for (const problem of problems) console.log(problem);
console.log(`${objects.length} objects, ${problems.length} problems`);
process.exit(problems.length ? 1 : 0);
