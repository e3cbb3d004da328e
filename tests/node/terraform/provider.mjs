#!/usr/bin/env node
// Providers of which nothing is real but their schema, for terraform init, validate, test and plan without their programs:
//
//   node provider.mjs RESOURCE ...        azurerm_redis_cache random_password data.azurerm_client_config
//
// Prints one line, the value of TF_REATTACH_PROVIDERS, and serves on loopback until its standard input ends. Checks what
// the schema says (names, types, what is required, how often a block may stand); what Azure itself would refuse it takes.
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import { ExtData, ExtensionCodec, decode, encode } from '@msgpack/msgpack';
import path from 'node:path';
import { providerSchema } from './schema.mjs';

const MODULES = path.join(import.meta.dirname, '../node_modules/@cdktf');
const definition = loader.loadSync(path.join(import.meta.dirname, 'plugin.proto'), { keepCase: true, enums: String, longs: Number, defaults: true });
const SERVICE = definition['tfplugin6.Provider'];

const unknown = new ExtData(0, new Uint8Array([0])); // msgpack's extension 0: known after apply
const codec = new ExtensionCodec();
const unpack = ({ msgpack }) => decode(msgpack, { extensionCodec: Object.assign(codec, { decode: (data, type) => new ExtData(type, data) }) });
const pack = (value) => ({ msgpack: Buffer.from(encode(value)) });

function wire({ attributes, block_types }) {
  return {
    attributes: attributes.map((attribute) => ({ ...attribute, type: Buffer.from(JSON.stringify(attribute.type)) })),
    block_types: block_types.map((type) => ({ ...type, block: wire(type.block) })),
  };
}

// What nobody has said and the provider would fill in is not known yet.
function planned(block, value) {
  if (value === null || value instanceof ExtData) return value;
  for (const { name, computed } of block.attributes) if (computed && value[name] === null) value[name] = unknown;
  for (const { type_name, block: inner } of block.block_types)
    for (const each of Array.isArray(value[type_name]) ? value[type_name] : [value[type_name] ?? null]) planned(inner, each);
  return value;
}

function methods(schema) {
  const served = (each) => ({ version: 0, block: wire(each.block) });
  const all = (kinds) => Object.fromEntries(Object.entries(kinds).map(([name, each]) => [name, served(each)]));
  const nothing = () => ({ diagnostics: [] });
  return {
    GetProviderSchema: () => ({ provider: served(schema.provider), resource_schemas: all(schema.resources), data_source_schemas: all(schema.data), diagnostics: [], server_capabilities: {} }),
    ValidateProviderConfig: nothing,
    ValidateResourceConfig: nothing,
    ValidateDataResourceConfig: nothing,
    ConfigureProvider: nothing,
    UpgradeResourceState: ({ raw_state }) => ({ upgraded_state: pack(JSON.parse(raw_state.json)), diagnostics: [] }),
    ReadResource: ({ current_state }) => ({ new_state: current_state, diagnostics: [] }),
    PlanResourceChange: ({ type_name, proposed_new_state }) => ({ planned_state: pack(planned(schema.resources[type_name].block, unpack(proposed_new_state))), diagnostics: [] }),
    StopProvider: () => ({ Error: '' }),
  };
}

async function serve(schema) {
  const server = new grpc.Server({ 'grpc.max_send_message_length': -1, 'grpc.max_receive_message_length': -1 });
  const handlers = Object.fromEntries(Object.entries(methods(schema)).map(([name, answer]) => [name, (call, done) => {
    try {
      done(null, answer(call.request));
    } catch (error) {
      done({ code: grpc.status.INTERNAL, message: error.stack });
    }
  }]));
  server.addService(SERVICE, handlers);
  const port = await new Promise((done, failed) => server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? failed(error) : done(bound))));
  return { Protocol: 'grpc', ProtocolVersion: 6, Pid: process.pid, Test: true, Addr: { Network: 'tcp', String: `127.0.0.1:${port}` } };
}

const attached = {};
for (const prefix of ['azurerm', 'random']) {
  const wanted = process.argv.slice(2).filter((name) => name.replace(/^data\./, '').startsWith(`${prefix}_`));
  attached[`registry.terraform.io/hashicorp/${prefix}`] = await serve(providerSchema(path.join(MODULES, `provider-${prefix}`), prefix, wanted));
}
console.log(JSON.stringify(attached));
process.stdin.resume().on('end', () => process.exit(0));
