// Stands in for your identity provider (Keycloak, Auth0, Entra …): who logs in gets a signed token, and
// whoever verifies one finds the key by discovery. A new key each time it starts, and three people.
import { createServer } from 'node:http'
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'

const people = {
  alice: { password: 'correct-horse', roles: ['clerk'] },
  bob: { password: 'battery-staple', roles: ['customer'] },
  ada: { password: 'difference-engine', roles: ['admin'] },
}
const audience = 'https://shop.example.com'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const kid = randomUUID()
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

function token(name) {
  const now = Math.floor(Date.now() / 1000)
  const signed = encode({ alg: 'ES256', kid }) + '.' +
    encode({ iss: url(), aud: audience, sub: name, roles: people[name].roles, iat: now, exp: now + 3600 })
  const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${signature.toString('base64url')}`
}

const server = createServer(async (req, res) => {
  const answer = (status, value) => res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
  switch (req.url) {
    case '/.well-known/openid-configuration':
      return answer(200, { issuer: url(), jwks_uri: `${url()}/jwks`, token_endpoint: `${url()}/token` })
    case '/jwks':
      return answer(200, { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' }] })
    case '/token': {
      let body = ''
      for await (const chunk of req) body += chunk
      const form = new URLSearchParams(body)
      const name = form.get('username')
      if (!Object.hasOwn(people, name) || people[name].password !== form.get('password')) {
        return answer(400, { error: 'invalid_grant' })
      }
      return answer(200, { access_token: token(name), token_type: 'Bearer', expires_in: 3600 })
    }
  }
  return answer(404, { error: 'not_found' })
})

const url = () => `http://127.0.0.1:${server.address().port}`

server.listen(Number(process.env.PORT ?? 9000), '127.0.0.1', () => console.log(`the issuer is ${url()}`))
