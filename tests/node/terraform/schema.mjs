// The schema of a Terraform provider, read from its published TypeScript declarations (npm: @cdktf/provider-NAME).
//
// A resource's Config interface has an attribute or block a property: its name in the link of its comment, its type, and
// whether it may be left out. What the resource class can be asked for and not told is computed. Whether something is a
// list or a set stands in the code beside the declarations. Not published: which optional attributes are computed as well.
import fs from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

const SIMPLE = { string: 'string', number: 'number', 'boolean | cdktf.IResolvable': 'bool', 'cdktf.IResolvable': 'bool', boolean: 'bool', any: 'dynamic' };
const LISTS = { 'string[]': 'string', 'number[]': 'number', 'Array<boolean | cdktf.IResolvable> | cdktf.IResolvable': 'bool' };
const MAPS = { 'cdktf.StringMap': 'string', 'cdktf.NumberMap': 'number', 'cdktf.BooleanMap': 'bool' };

class Declarations {
  constructor(folder) {
    const declared = fs.readFileSync(path.join(folder, 'index.d.ts'), 'utf8');
    this.source = ts.createSourceFile('index.d.ts', declared, ts.ScriptTarget.ES2022, true);
    this.interfaces = new Map();
    this.classes = new Map();
    for (const node of this.source.statements) {
      if (ts.isInterfaceDeclaration(node)) this.interfaces.set(node.name.text, node);
      if (ts.isClassDeclaration(node)) this.classes.set(node.name.text, node);
    }
    const code = fs.readFileSync(path.join(folder, 'index.js'), 'utf8');
    // Of every function and class: which of its attributes are sets, and what its getters are called in Terraform.
    this.sets = new Map();
    this.names = new Map();
    for (const part of code.split(/^(?=function |class |exports\.)/m)) {
      const title = part.match(/^(?:function|class) (\w+)/)?.[1];
      if (!title) continue;
      this.sets.set(title.toLowerCase(), new Set([...part.matchAll(/^\s+(\w+): \{\n\s+value: .*\n\s+isBlock: \w+,\n\s+type: "set"/gm)].map((match) => match[1])));
      this.names.set(title, new Map([...part.matchAll(/^    get (\w+)\(\) \{\n(?:\s+\/\/.*\n)*\s+return (?:.*Attribute\('(\w+)'\)|this\._(\w+);)/gm)].map((match) => [match[1], match[2]])));
      for (const [, own, name] of part.matchAll(/this\._(\w+) = new \w+\(this, "(\w+)"/g)) this.names.get(title).set(own, name);
    }
  }

  resourceClass() {
    for (const [name, node] of this.classes)
      if (/Terraform(Resource|DataSource|Provider)$/.test(node.heritageClauses?.[0]?.types[0].expression.getText(this.source) ?? '')) return name;
    return null;
  }

  typeOf(member) {
    return member.type?.getText(this.source).replaceAll(/\s+/g, ' ') ?? '';
  }

  // What may be said of an interface's object.
  configured(name, sets) {
    const block = { attributes: [], block_types: [] };
    for (const member of this.interfaces.get(name)?.members ?? []) {
      const comment = member.getFullText(this.source).slice(0, member.getLeadingTriviaWidth(this.source));
      const known = comment.match(/#(\w+) \w+#\w+\}/)?.[1];
      if (!known) continue;
      const required = !member.questionToken;
      const type = this.typeOf(member);
      const collection = sets.has(known) ? 'set' : 'list';
      const nested = type.match(/^(\w+)(\[\])?( \| cdktf\.IResolvable)?$/)?.[1];
      if (SIMPLE[type]) block.attributes.push({ name: known, type: SIMPLE[type], required, optional: !required, computed: known === 'id' && !required });
      else if (LISTS[type]) block.attributes.push({ name: known, type: [collection, LISTS[type]], required, optional: !required });
      else if (type.startsWith('{ [key: string]:')) block.attributes.push({ name: known, type: ['map', SIMPLE[type.slice(17, -3)] ?? 'string'], required, optional: !required });
      else if (this.interfaces.has(nested)) {
        const inner = this.configured(nested, this.sets.get(`${nested}ToHclTerraform`.toLowerCase()) ?? new Set());
        const many = type.includes('[]');
        if (comment.includes(`* ${known} block`)) block.block_types.push({ type_name: known, block: inner, nesting: known === 'timeouts' ? 'SINGLE' : collection.toUpperCase(), min_items: required ? 1 : 0, max_items: many || known === 'timeouts' ? 0 : 1 });
        else block.attributes.push({ name: known, type: [collection, objectOf(inner)], required, optional: !required });
      } else throw new Error(`${name}.${known}: what is '${type}'?`);
    }
    return block;
  }

  // What a class can be asked for: its getters without a setter and without a method that takes the value.
  asked(name, also = () => false) {
    const node = this.classes.get(name);
    const told = new Set(node.members.filter(ts.isSetAccessor).map((member) => member.name.text));
    for (const member of node.members) if (ts.isMethodDeclaration(member) && /^put[A-Z]/.test(member.name.text)) told.add(member.name.text[3].toLowerCase() + member.name.text.slice(4));
    const attributes = [];
    for (const member of node.members) {
      if (!ts.isGetAccessor(member) || (told.has(member.name.text) && !also(member.name.text))) continue;
      const known = this.names.get(name)?.get(member.name.text);
      if (!known || known === 'internal_value') continue;
      const type = this.typeOf(member);
      const list = type.match(/^(\w+)List$/)?.[1];
      if (SIMPLE[type]) attributes.push({ name: known, type: SIMPLE[type], computed: true });
      else if (LISTS[type]) attributes.push({ name: known, type: ['list', LISTS[type]], computed: true });
      else if (MAPS[type]) attributes.push({ name: known, type: ['map', MAPS[type]], computed: true });
      else if (list && this.classes.has(`${list}OutputReference`)) attributes.push({ name: known, type: ['list', objectOf({ attributes: this.asked(`${list}OutputReference`, () => true), block_types: [] })], computed: true });
    }
    return attributes;
  }
}

function objectOf({ attributes, block_types }) {
  return ['object', Object.fromEntries([...attributes.map(({ name, type }) => [name, type]), ...block_types.map(({ type_name, block, nesting }) => [type_name, [nesting === 'SET' ? 'set' : 'list', objectOf(block)]])])];
}

function schemaOf(folder) {
  const declarations = new Declarations(folder);
  const name = declarations.resourceClass();
  const block = declarations.configured(`${name}Config`, declarations.sets.get(name.toLowerCase()) ?? new Set());
  const known = new Set([...block.attributes.map((attribute) => attribute.name), ...block.block_types.map((type) => type.type_name)]);
  if (/TerraformProvider/.test(declarations.classes.get(name).heritageClauses[0].getText(declarations.source))) return { version: 0, block };
  block.attributes.push(...declarations.asked(name).filter((attribute) => !known.has(attribute.name)));
  return { version: 0, block };
}

// The provider of `folder`, with those of its resources and data sources that are wanted: azurerm_redis_cache, data.azurerm_client_config.
export function providerSchema(folder, prefix, wanted) {
  const library = path.join(folder, 'lib');
  const of = (name) => schemaOf(path.join(library, name));
  const schema = { provider: of('provider'), resources: {}, data: {} };
  for (const each of wanted) {
    const [, data, name] = each.match(/^(data\.)?(\w+)$/);
    const module = (data ? 'data-' + prefix + '-' : '') + name.slice(prefix.length + 1).replaceAll('_', '-');
    if (!fs.existsSync(path.join(library, module))) continue; // Terraform itself says that there is no such resource
    (data ? schema.data : schema.resources)[name] = of(module);
  }
  return schema;
}
