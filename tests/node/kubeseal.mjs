#!/usr/bin/env node
// Stands in for kubeseal: a Secret (YAML, on stdin or --secret-file) becomes a SealedSecret that its name, its namespace and
// one cluster's key open. The format is the documented one (sealed-secrets, docs/developer/crypto.md) in its scope "strict".
//
//   kubectl create secret ... --dry-run=client -o yaml | node kubeseal.mjs --cert CERTIFICATE.pem --format yaml
import crypto from 'node:crypto';
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import YAML from 'yaml';

// Length of the sealed session key || sealed session key || AES-GCM of the value and its tag. A session key is used once, so the nonce may be zero.
function seal(value, key, label) {
  const session = crypto.randomBytes(32);
  const sealed = crypto.publicEncrypt({ key, padding: crypto.constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256', oaepLabel: Buffer.from(label) }, session);
  const cipher = crypto.createCipheriv('aes-256-gcm', session, Buffer.alloc(12));
  const length = Buffer.alloc(2);
  length.writeUInt16BE(sealed.length);
  return Buffer.concat([length, sealed, cipher.update(value), cipher.final(), cipher.getAuthTag()]).toString('base64');
}

function refuse(why) {
  console.error(`error: ${why}`);
  process.exit(1);
}

const { values: options } = parseArgs({ options: { cert: { type: 'string' }, format: { type: 'string', short: 'o', default: 'json' }, 'secret-file': { type: 'string', short: 'f' } } });
if (!options.cert) refuse('no cluster to ask for its certificate: --cert');
if (!['json', 'yaml'].includes(options.format)) refuse(`unsupported output format: ${options.format}`);
const certificate = new crypto.X509Certificate(fs.readFileSync(options.cert));
if (new Date(certificate.validTo) < new Date()) refuse('the certificate is expired');
const secret = YAML.parse(fs.readFileSync(options['secret-file'] ?? 0, 'utf8'));
if (secret?.kind !== 'Secret' || secret.apiVersion !== 'v1') refuse('no Secret');
const { name, namespace } = secret.metadata ?? {};
if (!name || !namespace) refuse('the Secret has no name or no namespace, which this scope seals it to');

const plain = { ...secret.data };
for (const [key, value] of Object.entries(plain)) plain[key] = Buffer.from(value, 'base64');
Object.assign(plain, secret.stringData); // it wins, as in the API
if (!Object.keys(plain).length) refuse('the Secret is empty');
const encryptedData = Object.fromEntries(Object.entries(plain).map(([key, value]) => [key, seal(value, certificate.publicKey, `${namespace}/${name}`)]));
const { labels, annotations } = secret.metadata;
const template = JSON.parse(JSON.stringify({ metadata: { name, namespace, labels, annotations }, type: secret.type, immutable: secret.immutable })); // without what is undefined
const made = { apiVersion: 'bitnami.com/v1alpha1', kind: 'SealedSecret', metadata: { name, namespace }, spec: { encryptedData, template } };
process.stdout.write(options.format === 'yaml' ? YAML.stringify(made, { lineWidth: 0 }) : `${JSON.stringify(made, null, 2)}\n`);
