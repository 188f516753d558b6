// A certified OpenID provider of others (npm: oidc-provider) with one client and whoever logs in. Port, client, secret, address of
// the control plane and the set of keys come from the environment; a restart with other keys is what a rotation looks like.
import Provider from 'oidc-provider';

const { PORT, CLIENT_ID, CLIENT_SECRET, REDIRECT, JWKS } = process.env;
const people = {
  carol: { email: 'carol@example.com', email_verified: true, preferred_username: 'carol', groups: ['engineering'] },
};
const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  clients: [{
    client_id: CLIENT_ID, client_secret: CLIENT_SECRET, redirect_uris: [REDIRECT], grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'], post_logout_redirect_uris: [],
  }],
  jwks: JSON.parse(JWKS),
  cookies: { keys: ['one', 'two'] },
  pkce: { required: () => true },
  conformIdTokenClaims: false,
  scopes: ['openid', 'email', 'profile', 'groups', 'offline_access'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username'], groups: ['groups'] },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...(people[sub] ?? {}) }) }),
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  ttl: { AccessToken: 60, IdToken: 300, RefreshToken: 3600, Session: 3600, Grant: 3600, Interaction: 600 },
});
provider.listen(Number(PORT), '127.0.0.1', () => console.log('ready'));
