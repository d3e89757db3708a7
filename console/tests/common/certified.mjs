// An OpenID-certified provider (npm oidc-provider) with its own pages for signing in and consenting.
// Each line on standard input is a configuration, of which a provider with new keys is made at the same
// address: {"client", "alg", "people": {login: claims}, "methods", "conform"}. It answers with its address.
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const { Provider } = await import(pathToFileURL(`${process.env.PACKAGE}/lib/index.js`));

const kinds = {
  ES256: ['ec', { namedCurve: 'P-256' }],
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  EdDSA: ['ed25519', {}],
};

const server = createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://localhost:${server.address().port}`;

function provider({ client, alg, people, conform, methods }) {
  const key = generateKeyPairSync(...kinds[alg]).privateKey.export({ format: 'jwk' });
  return new Provider(issuer, {
    clients: [{ ...client, id_token_signed_response_alg: alg }],
    jwks: { keys: [{ ...key, alg, use: 'sig', kid: `${alg}-${Date.now()}` }] },
    scopes: ['openid', 'profile', 'email', 'groups'],
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username', 'department'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
    },
    clientAuthMethods: methods,
    conformIdTokenClaims: conform,
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
    cookies: { keys: ['only for this test'] },
    findAccount: (_, login) =>
      people[login] && { accountId: login, claims: () => ({ sub: login, ...people[login] }) },
  });
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    server.removeAllListeners('request');
    server.on('request', provider(JSON.parse(line)).callback());
    console.log(`ready ${issuer}`);
  })
  .on('close', () => process.exit(0));
