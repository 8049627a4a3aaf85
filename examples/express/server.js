// A small shop as teams write them, with Express and nothing else: users, orders, comments, a log-in that
// sets a cookie, an admin page. It has no security code at all: it checks no token and no role, compares no
// origin, validates no input, counts nothing and sets no security header. It believes x-user-id, because
// behind the sidecar nobody else can set it.
import express from 'express'
import { randomUUID } from 'node:crypto'

const issuer = process.env.ISSUER ?? 'http://127.0.0.1:9000'

const users = [
  { name: 'alice', email: 'alice@shop.example' },
  { name: 'bob', email: 'bob@shop.example' },
  { name: 'ada', email: 'ada@shop.example' },
]
let orders = [
  { id: '0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e', owner: 'alice', item: 'pen' },
  { id: '5f3c9a52-7f2e-4a53-8a65-2f1f7f0e9b11', owner: 'bob', item: 'paper' },
]
let comments = [{ author: 'bob', text: 'Good paper, thank you.' }]

const caller = (req) => req.get('x-user-id')

const page = (title, body) => `<!doctype html>
<html lang="en"><head><title>${title}</title><script src="/app.js" defer></script></head>
<body><h1>${title}</h1>
${body}
</body></html>
`

const app = express()
app.use(express.json(), express.urlencoded({ extended: false }))

app.get('/', (req, res) => {
  res.send(page('Shop', `<p>Hello ${caller(req) ?? 'visitor'}</p><p><a href="/login">Log in</a> <a href="/comments">Comments</a></p>`))
})
app.get('/app.js', (req, res) => {
  res.type('js').send("document.documentElement.dataset.script = 'ran'\n")
})
app.get('/health', (req, res) => {
  res.json({ status: 'ok' })
})

// Who may log in is the issuer's to say; its token becomes the session.
app.get('/login', (req, res) => {
  res.send(page('Log in', '<form method="post"><input name="user"><input name="password" type="password"><button>Log in</button></form>'))
})
app.post('/login', async (req, res) => {
  const answer = await fetch(`${issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'password', username: req.body.user, password: req.body.password }),
  })
  if (!answer.ok) {
    res.status(403).send(page('Log in', 'Wrong name or password.'))
    return
  }
  const { access_token: token } = await answer.json()
  res.cookie('session', token, { httpOnly: true, secure: true, sameSite: 'lax' }).redirect(303, '/')
})
app.post('/logout', (req, res) => {
  res.clearCookie('session').redirect(303, '/')
})

app.get('/orders', (req, res) => {
  res.json(orders.filter((order) => order.owner === caller(req)))
})
app.post('/orders', (req, res) => {
  const order = { ...req.body, id: randomUUID(), owner: caller(req) }
  orders.push(order)
  res.status(201).json(order)
})
app.get('/orders/:id', (req, res) => {
  const order = orders.find(({ id }) => id === req.params.id)
  order ? res.json(order) : res.sendStatus(404)
})
app.delete('/orders/:id', (req, res) => {
  orders = orders.filter(({ id }) => id !== req.params.id)
  res.sendStatus(204)
})

app.get('/users/:name', (req, res) => {
  const user = users.find(({ name }) => name === req.params.name)
  user ? res.json(user) : res.sendStatus(404)
})

// Comments are printed as they were written, markup and all.
app.get('/comments', (req, res) => {
  const list = comments.map(({ author, text }) => `<li>${author}: ${text}</li>`).join('\n')
  res.send(page('Comments', `<ul>${list}</ul><form method="post"><input name="text"><button>Send</button></form>`))
})
app.post('/comments', (req, res) => {
  comments.push({ author: caller(req), text: req.body.text })
  res.redirect(303, '/comments')
})

app.get('/admin', (req, res) => {
  res.send(page('Admin', `<p>${users.length} users, ${orders.length} orders, ${comments.length} comments</p>`))
})
app.post('/admin/comments', (req, res) => {
  comments = []
  res.redirect(303, '/admin')
})

const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', (error) => {
  if (error) throw error
  console.log(`the app listens on 127.0.0.1:${server.address().port}`)
})
