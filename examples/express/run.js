// Installs the packages, builds the sidecar, and starts the issuer, the app, the sidecar and Envoy, each with
// its log in .run/. Ctrl-C ends them all, and so does the end of any one.
//
//   node run.js
//   SHIFT=100 node run.js    every port plus 100, when one is taken
//   ENVOY=/usr/bin/envoy     which Envoy; else the one of `make envoy`
import { execFileSync, spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('.', import.meta.url)))
const root = '../..'
const shift = Number(process.env.SHIFT ?? 0)
const port = (usual) => usual + shift
const url = (usual) => `http://127.0.0.1:${port(usual)}`
const run = (command, ...args) => execFileSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })

// shifted is a configuration with its ports shifted: a copy in .run/, unless there is nothing to shift.
function shifted(file) {
  if (shift === 0) return file
  const text = readFileSync(file, 'utf8').replace(/\b(3000|8080|9000|9901|9902)\b/g, (usual) => port(Number(usual)))
  writeFileSync(`.run/${file}`, text)
  return `.run/${file}`
}

const started = []
let ending = false

function start(name, command, args, env = {}) {
  const log = openSync(`.run/${name}.log`, 'w')
  // A group of its own: Ctrl-C comes here alone, and the order of the end is kept.
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', log, log], detached: true })
  const ended = new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
  })
  started.push({ child, ended })
  ended.then((how) => end(1, `${name} has ended (${how}); examples/express/.run/${name}.log says why`))
}

// end stops what was started, the last first: Envoy, then the sidecar that it asks, then the app.
async function end(code, why) {
  if (ending) return
  ending = true
  console.log(why)
  for (const { child, ended } of started.reverse()) {
    child.kill()
    await ended
  }
  process.exit(code)
}
process.on('SIGINT', () => end(0, '\nending …'))
process.on('SIGTERM', () => end(0, 'ending …'))

async function ready(address) {
  for (let tries = 0; !ending; tries++) {
    try {
      if ((await fetch(address)).ok) return
    } catch (error) {
      if (tries > 600) return end(1, `${address} does not answer: ${error.cause ?? error}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

mkdirSync('.run', { recursive: true })
if (!existsSync('node_modules/.installed') || readFileSync('package-lock.json', 'utf8') !== readFileSync('node_modules/.installed', 'utf8')) {
  console.log('· installing Express (npm ci)')
  run('npm', 'ci')
  copyFileSync('package-lock.json', 'node_modules/.installed')
}
console.log('· building the sidecar')
run('go', 'build', '-o', '.run/authz', `${root}/cmd/authz`)
let envoy = process.env.ENVOY
if (!envoy) {
  run(`${root}/tools/get-envoy`)
  envoy = `${root}/.cache/bin/envoy`
}
console.log('· starting the issuer, the app, the sidecar and Envoy')
start('issuer', process.execPath, ['issuer.js'], { PORT: port(9000) })
start('app', process.execPath, ['server.js'], { PORT: port(3000), ISSUER: url(9000) })
await ready(`${url(9000)}/jwks`)
await ready(`${url(3000)}/health`)
start('authz', '.run/authz', ['run', '--config', shifted('authz.yaml')])
await ready(`${url(9901)}/readyz`)
start('envoy', envoy, ['-c', shifted('envoy.yaml'), '--disable-hot-restart'])
await ready(`${url(9902)}/ready`)
if (!ending) {
  console.log(`
  ${url(8080)}         the shop behind Envoy and the sidecar
  ${url(3000)}         the same app, bare
  ${url(9000)}         the issuer
  ${url(9901)}/readyz  the sidecar's own; also /metrics

README.md has requests to try. Ctrl-C ends everything.`)
}
