#!/usr/bin/env node
// A certified OpenID provider (oidc-provider) on a loopback port, with keys of its own and one client:
//
//   node oidc.mjs PORT KID ALGORITHM
//
// Client "importer" with the secret "secret" gets access tokens (JWT) for https://titanic.example by client credentials.
// Prints "ready". Keys live as long as the process: a restart with another KID is a rotation.
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const [port, kid, algorithm] = process.argv.slice(2);
const key = async (alg, id) => {
  const { privateKey } = await generateKeyPair(alg, { extractable: true, ...(alg === 'EdDSA' && { crv: 'Ed25519' }) });
  return { ...await exportJWK(privateKey), alg, kid: id, use: 'sig' };
};
const keys = [await key(algorithm, kid)];
if (algorithm !== 'RS256') keys.push(await key('RS256', `${kid}-rsa`)); // its ID tokens want one
const scope = 'people:read people:write host:admin';
const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys },
  clients: [{ client_id: 'importer', client_secret: 'secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }],
  scopes: scope.split(' '),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'https://titanic.example',
      getResourceServerInfo: (_context, audience) => ({ scope, audience, accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg: algorithm, kid } } }),
    },
  },
});
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
