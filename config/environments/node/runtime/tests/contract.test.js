// The load contract as the agent sees it.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { Loading, isLoopback } from '../src/loading.js'
import { Runtime } from './harness.js'

const HELLO = { 'index.js': "exports.handler = () => 'hello\\n'\n" }

test('before a load, health is answered and every other path is an attributed 503', async (t) => {
  const runtime = await Runtime.start(t)
  assert.equal((await runtime.request('GET', '/healthz')).status, 200)
  for (const [method, target] of [['GET', '/'], ['POST', '/healthz'], ['GET', '/v2/specialize'], ['DELETE', '/a/b']]) {
    const reply = await runtime.request(method, target, { headers: { 'x-request-id': 'r-1' } })
    assert.equal(reply.status, 503)
    const { component, reason, requestId, executed } = reply.json()
    assert.deepEqual([component, reason, requestId, executed], ['runtime', 'NotLoaded', 'r-1', 'no'])
  }
})

test('a bad order is refused, and a good one taken after it', async (t) => {
  const runtime = await Runtime.start(t)
  for (const body of ['', '[]', '{', '{"filepath": 3}', '{"filepath": "/x", "env": {"A": 1}}']) {
    const reply = await runtime.request('POST', '/v2/specialize', { body })
    assert.deepEqual([reply.status, reply.json().reason], [400, 'OrderInvalid'], body)
  }
  const missing = await runtime.load('/nowhere/at/all')
  assert.deepEqual([missing.status, missing.json().reason], [500, 'PackageNotFound'])
  await runtime.serve(HELLO)
  assert.equal((await runtime.request()).text, 'hello\n')
})

test('the same order again is fine, another is refused', async (t) => {
  const runtime = await Runtime.start(t)
  await runtime.serve({ 'index.js': "console.log('imported'); exports.handler = () => 'hello\\n'\n" })
  const replies = await Promise.all([1, 2, 3, 4].map(() => runtime.load(runtime.package, 'index.handler')))
  assert.deepEqual(replies.map((reply) => reply.status), [200, 200, 200, 200])
  for (const [filepath, entrypoint] of [[runtime.package, 'index.other'], [`${runtime.package}/index.js`, 'index.handler']]) {
    const reply = await runtime.load(filepath, entrypoint)
    assert.deepEqual([reply.status, reply.json().reason], [400, 'AlreadyLoaded'])
    assert.match(reply.json().message, /already loaded/)
  }
  assert.equal((await runtime.request()).text, 'hello\n')
  assert.equal(runtime.log.filter((record) => record.message === 'imported').length, 1)
})

test('health and the load paths stay ours after a load', async (t) => {
  const runtime = await Runtime.start(t)
  await runtime.serve({ 'index.js': 'exports.handler = (r) => `${r.method} ${r.path}`' })
  assert.equal((await runtime.request('GET', '/healthz')).text, 'ok\n')
  assert.equal((await runtime.request('GET', '/v2/specialize')).text, 'GET /v2/specialize')
  assert.equal((await runtime.request('PUT', '/any/thing')).text, 'PUT /any/thing')
})

const FORMS = [
  ['CommonJS', { 'index.js': "exports.handler = () => 'x'" }, 'index.handler'],
  ['an ES module', { 'index.mjs': "export const handler = () => 'x'" }, 'index.handler'],
  ['an ES module in .js with a type', { 'package.json': '{"type":"module"}', 'index.js': "export const handler = () => 'x'" }, 'index.handler'],
  ['a lone ES module in .js without a type', { 'index.js': "import { sep } from 'path'\nexport const handler = () => sep && 'x'" }, 'index.handler'],
  [
    'ES modules in .js without a type',
    { 'index.js': "import { x } from './lib/x.js'\nexport const handler = () => x", 'lib/x.js': "export const x = 'x'" },
    'index.handler',
  ],
  ['the default export by its module', { 'web.mjs': "export default () => 'x'" }, 'web'],
  ['module.exports itself', { 'web.js': "module.exports = () => 'x'" }, 'web.js'],
  ['a file in a directory', { 'app/users.js': "exports.get = () => 'x'" }, 'app/users.get'],
  ['a file in a directory, by dots', { 'app/users.js': "exports.get = () => 'x'" }, 'app.users.get'],
  ['no name', { 'index.js': "module.exports = () => 'x'" }, ''],
  ['no name, main of package.json', { 'package.json': '{"main":"lib/a.js"}', 'lib/a.js': "exports.handler = () => 'x'" }, ''],
  ['a property that is set late', { 'index.js': "const names = ['handler']; names.forEach((n) => { exports[n] = () => 'x' })" }, 'index.handler'],
  [
    'dependencies in node_modules',
    { 'index.js': "const dep = require('dep'); exports.handler = () => dep", 'node_modules/dep/index.js': "module.exports = 'x'" },
    'index.handler',
  ],
  [
    'data files beside the code',
    { 'index.js': "exports.handler = () => require('fs').readFileSync('page.txt', 'utf8')", 'page.txt': 'x' },
    'index.handler',
  ],
]
for (const [name, files, entrypoint] of FORMS) {
  test(`loads ${name}`, async (t) => {
    const runtime = await Runtime.start(t)
    await runtime.serve(files, entrypoint)
    assert.equal((await runtime.request()).text, 'x')
  })
}

for (const source of ["module.exports = () => require('path').sep", "import path from 'node:path'\nexport default () => path.sep"]) {
  test(`loads a single file without an extension: ${source}`, async (t) => {
    const runtime = await Runtime.start(t)
    const file = path.join(runtime.write({ '8f14e45f': source }), '8f14e45f')
    assert.equal((await runtime.load(file)).status, 200)
    assert.equal((await runtime.request()).text, '/')
  })
}

test('the old call loads the file at its fixed place', async (t) => {
  const file = path.join(fs.mkdtempSync('/tmp/muon-user-'), 'user')
  t.after(() => fs.rmSync(path.dirname(file), { recursive: true }))
  fs.writeFileSync(file, HELLO['index.js'])
  const runtime = await Runtime.start(t, { MUON_V1_FILE: file })
  assert.equal((await runtime.request('POST', '/specialize')).status, 200)
  assert.equal((await runtime.request('POST', '/specialize')).status, 200)
  assert.equal((await runtime.request()).text, 'hello\n')
})

test('env of the order is set before the import', async (t) => {
  const runtime = await Runtime.start(t)
  runtime.write({ 'index.js': 'const seen = process.env.GREETING; exports.handler = () => seen' })
  assert.equal((await runtime.load(runtime.package, 'index.handler', { env: { GREETING: 'hi' } })).status, 200)
  assert.equal((await runtime.request()).text, 'hi')
})

test('env means what it means to a process that starts', async (t) => {
  const runtime = await Runtime.start(t)
  const source = `
    const { execFileSync } = require('node:child_process')
    const seen = [new Date(0).getHours(), require('node:os').tmpdir()]
    exports.handler = () => [
      ...seen, execFileSync('/bin/sh', ['-c', 'echo "$ODD"']).toString(), process.env['my.name'], process.env.EMPTY,
      process.env.__proto__, Object.keys(process.env).includes('my.name'),
    ]`
  const odd = 'grün "$(A)"\n\\'
  // Written out, since a literal of JavaScript means something else by this name.
  const env = JSON.parse('{"__proto__": "a name as any other"}')
  Object.assign(env, { TZ: 'Etc/GMT-5', TMPDIR: '/scratch', ODD: odd, 'my.name': 'dotted', EMPTY: '' })
  runtime.write({ 'index.js': source })
  assert.equal((await runtime.load(runtime.package, 'index.handler', { env })).status, 200)
  const wanted = [5, '/scratch', `${odd}\n`, 'dotted', '', 'a name as any other', true]
  assert.deepEqual((await runtime.request()).json(), wanted)
})

const FAILURES = [
  ['a missing module', { 'index.js': "require('./helper')", 'helper.js': "\n\nrequire('nothing')" }, 'ImportFailed',
    "index.js:1\nhelper.js:3\nError: Cannot find module 'nothing'"],
  ['an error at import', { 'index.mjs': "\nthrow new TypeError('no config')" }, 'ImportFailed', 'index.mjs:2\nTypeError: no config'],
  ['a syntax error in a script', { 'index.js': 'exports.a = 1\nexports.handler = (' }, 'ImportFailed',
    'index.js:2: exports.handler = (\nSyntaxError: Unexpected end of input'],
  ['a syntax error in a module', { 'index.mjs': 'export const a = 1\nexport const b = }' }, 'ImportFailed',
    "index.mjs:2: export const b = }\nSyntaxError: Unexpected token '}'"],
  ['an error at import of a lone ES module in .js', { 'index.js': "export const handler = 1\nthrow new TypeError('no config')" },
    'ImportFailed', 'index.js:2\nTypeError: no config'],
  ['a missing export', { 'index.js': 'exports.first = () => 1; exports.second = () => 2' }, 'EntrypointNotFound',
    "index.js has no export 'handler'; it exports: first, second"],
  ['a missing file', { 'web.js': '', 'api.mjs': '' }, 'EntrypointNotFound',
    "the package has no module 'index'; it has: api.mjs, web.js"],
  ['an export that is no function', { 'index.js': 'exports.handler = 7' }, 'EntrypointInvalid',
    "index.js exports 'handler' as a number, not as a function"],
]
for (const [name, files, reason, message] of FAILURES) {
  test(`a failed load says why: ${name}`, async (t) => {
    const runtime = await Runtime.start(t)
    const reply = await runtime.load(runtime.write(files), 'index.handler')
    const error = reply.json()
    assert.deepEqual([reply.status, error.component, error.reason, error.message], [500, 'runtime', reason, message])
    await runtime.logged((record) => record.message === 'load failed' && record.error === message)
  })
}

test('an entrypoint outside of the package is refused', async (t) => {
  const runtime = await Runtime.start(t)
  const reply = await runtime.load(runtime.write(HELLO), '../../etc/passwd.x')
  assert.deepEqual([reply.status, reply.json().reason], [500, 'EntrypointInvalid'])
})

test('after a failed load another is possible and sees nothing of it', async (t) => {
  const runtime = await Runtime.start(t)
  runtime.write({ 'index.js': "require('./helper'); throw new Error(process.env.LEFT)", 'helper.js': '' })
  assert.equal((await runtime.load(runtime.package, 'index.handler', { env: { LEFT: 'over' } })).status, 500)
  assert.equal((await runtime.request()).status, 503)
  await runtime.serve({ 'index.js': "const name = require('./helper'); exports.handler = () => [name, process.env.LEFT ?? null]", 'helper.js': "module.exports = 'new'" })
  assert.deepEqual((await runtime.request()).json(), ['new', null])
})

test('which peers may load', () => {
  for (const address of ['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1']) assert.ok(isLoopback(address), address)
  for (const address of ['198.18.0.7', '::ffff:198.18.0.7', 'fe80::1', '', 'localhost', undefined]) {
    assert.ok(!isLoopback(address), address)
  }
})

test('a peer from elsewhere gets 403 whatever headers it sends', async () => {
  const req = { headers: { 'x-forwarded-for': '127.0.0.1' }, socket: { remoteAddress: '198.18.0.7' } }
  const res = {
    getHeaderNames: () => [],
    writeHead(status) {
      this.status = status
    },
    end(body) {
      this.body = body
    },
  }
  await new Loading(0).serve(req, res, 2)
  assert.deepEqual([res.status, JSON.parse(res.body).reason], [403, 'NotLoopback'])
})

test('on SIGTERM an idle runtime ends with zero', async (t) => {
  const runtime = await Runtime.start(t)
  assert.equal(await runtime.stop(), 0)
})

test('on SIGTERM a request in flight is finished', async (t) => {
  const runtime = await Runtime.start(t)
  const gate = path.join(runtime.package, 'gate')
  execFileSync('mkfifo', [gate])
  await runtime.serve({
    'index.js': "const fs = require('fs/promises')\nexports.handler = () => { console.log('begun'); return fs.readFile('gate', 'utf8') }",
  })
  const reply = runtime.request()
  await runtime.logged((record) => record.message === 'begun')
  const exited = runtime.stop()
  await runtime.logged((record) => record.message === 'stopping')
  await fs.promises.writeFile(gate, 'finished')
  assert.equal((await reply).text, 'finished')
  assert.equal(await exited, 0)
})

test('what does not end is cut after the grace period', async (t) => {
  const runtime = await Runtime.start(t, { MUON_GRACE_SECONDS: '0.2' })
  await runtime.serve({ 'index.js': "exports.handler = () => { console.log('begun'); return new Promise(() => {}) }" })
  const cut = assert.rejects(runtime.request())
  await runtime.logged((record) => record.message === 'begun')
  assert.equal(await runtime.stop(), 0)
  await cut
  await runtime.logged((record) => /grace period is over/.test(record.message))
})
