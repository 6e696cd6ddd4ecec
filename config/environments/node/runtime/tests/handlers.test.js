// How handlers are called, what they may return, and what happens when they fail.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { Runtime } from './harness.js'

async function serving(t, source, env) {
  const runtime = await Runtime.start(t, env)
  await runtime.serve({ 'index.mjs': source })
  return runtime
}

test('everything a handler can learn of its request', async (t) => {
  const runtime = await serving(
    t,
    `export const handler = async (request) => ({
      method: request.method, path: request.path, id: request.requestId,
      trace: [request.traceId, request.headers.tracestate],
      params: [request.params.userId, request.params.file, request.params.none ?? null],
      query: [request.query.get('a'), request.query.getAll('a'), request.query.get('empty')],
      header: request.headers['x-two'], json: await request.json(), text: await request.text(),
      length: (await request.body()).length, aborted: request.signal.aborted,
    })`,
  )
  const body = JSON.stringify({ 'grüße': 1 })
  const headers = {
    'x-request-id': 'abc',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    tracestate: 'vendor=1',
    'X-TWO': '2',
    'muon-path-param-userid': 'j%C3%BCrgen%2F1',
    'Muon-Path-Param-File': 'a b',
  }
  const reply = await runtime.request('POST', '/caf%C3%A9/x?a=1&a=2&empty=', { headers, body })
  assert.deepEqual(reply.json(), {
    method: 'POST',
    path: '/café/x',
    id: 'abc',
    trace: ['0af7651916cd43dd8448eb211c80319c', 'vendor=1'],
    params: ['jürgen/1', 'a b', null],
    query: ['1', ['1', '2'], ''],
    header: '2',
    json: { 'grüße': 1 },
    text: body,
    length: Buffer.byteLength(body),
    aborted: false,
  })
})

test('a large body arrives whole, and one over the limit is refused', async (t) => {
  const runtime = await serving(
    t,
    `import { createHash } from 'node:crypto'
    export const handler = async (request) => createHash('sha256').update(await request.body()).digest('hex')`,
    { MUON_BODY_LIMIT: '5000000' },
  )
  const body = Buffer.alloc(5_000_000, 'muon')
  const reply = await runtime.request('POST', '/', { body })
  assert.equal(reply.text, createHash('sha256').update(body).digest('hex'))
  const refused = await runtime.request('POST', '/', { body: Buffer.alloc(5_000_001) })
  assert.deepEqual([refused.status, refused.json().reason], [413, 'BodyTooLarge'])
})

test('each piece of a streamed body can be answered before the next is sent', async (t) => {
  const runtime = await serving(
    t,
    'export const handler = async function* (request) { for await (const piece of request) yield String(piece).toUpperCase() }',
  )
  const socket = net.connect(runtime.port, '127.0.0.1')
  socket.write('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n')
  const first = await readUntil(socket, 'ONE')
  assert.match(first, /transfer-encoding: chunked/i)
  socket.write('3\r\ntwo\r\n')
  await readUntil(socket, 'TWO')
  socket.end('0\r\n\r\n')
  await readUntil(socket, '0\r\n\r\n')
})

async function readUntil(socket, word) {
  let text = ''
  while (!text.includes(word)) {
    const [data] = await once(socket, 'data')
    text += data
  }
  return text
}

const TEXT = 'text/plain; charset=utf-8'
const BYTES = 'application/octet-stream'
const JSON_TYPE = 'application/json'
const VALUES = [
  ["'grüße'", 200, TEXT, 'grüße'],
  ['Buffer.from([0, 1])', 200, BYTES, '\0\x01'],
  ['new Uint8Array([65]).buffer', 200, BYTES, 'A'],
  ['({ a: [1, null] })', 200, JSON_TYPE, '{"a":[1,null]}'],
  ['[1, 2]', 200, JSON_TYPE, '[1,2]'],
  ['7', 200, JSON_TYPE, '7'],
  ['undefined', 204, undefined, ''],
  ['null', 204, undefined, ''],
  ["({ status: 201, body: 'made' })", 201, TEXT, 'made'],
  ["({ status: 'ok' })", 200, JSON_TYPE, '{"status":"ok"}'],
  ["({ body: 'only' })", 200, JSON_TYPE, '{"body":"only"}'],
  ["({ headers: { 'Content-Type': 'text/html', 'content-length': 99 }, body: '<p>' })", 200, 'text/html', '<p>'],
  ["new Response('r', { status: 418 })", 418, 'text/plain;charset=UTF-8', 'r'],
  ["(function* () { yield 'a'; yield Buffer.from('b') })()", 200, TEXT, 'ab'],
  ["(async function* () { yield 'a'; yield 'b' })()", 200, TEXT, 'ab'],
  ["new Blob(['ab']).stream()", 200, BYTES, 'ab'],
  ["({ status: 202, body: (async function* () { yield 'a' })() })", 202, TEXT, 'a'],
]
test('every kind of value that a handler may return', async (t) => {
  const cases = VALUES.map(([source]) => `() => (${source})`)
  const runtime = await serving(t, `const CASES = [${cases}]\nexport const handler = (r) => CASES[Number(r.path.slice(1))]()`)
  for (const [index, [source, status, type, text]] of VALUES.entries()) {
    const reply = await runtime.request('GET', `/${index}`)
    assert.deepEqual([reply.status, reply.headers['content-type'], reply.text], [status, type, text], source)
  }
  const head = await runtime.request('HEAD', '/0')
  assert.deepEqual([head.headers['content-length'], head.text], ['7', ''])
})

test('a header may stand more than once', async (t) => {
  const runtime = await serving(t, "export const handler = () => ({ headers: { 'Set-Cookie': ['a=1', 'b=2'] }, body: '' })")
  assert.deepEqual((await runtime.request()).headers['set-cookie'], ['a=1', 'b=2'])
})

test('what cannot be sent is the error of the function', async (t) => {
  const values = [
    '() => 1',
    'Symbol("x")',
    '({ status: 99 })',
    "({ headers: { 'a b': 'c' } })",
    "({ headers: { a: 'b\\r\\nc: d' } })",
    '(() => { const a = {}; a.a = a; return a })()',
    '[1].values()',
  ]
  const runtime = await serving(t, `const CASES = [${values}]\nexport const handler = (r) => CASES[Number(r.path.slice(1))]`)
  for (const [index, source] of values.entries()) {
    const reply = await runtime.request('GET', `/${index}`)
    const { component, reason, executed } = reply.json()
    assert.deepEqual([reply.status, component, reason, executed], [500, 'function', 'ReplyInvalid', 'yes'], source)
  }
})

test('an event stream is open at once, flushed, and ended when the caller leaves', async (t) => {
  const runtime = await serving(
    t,
    `let open
    const gate = new Promise((resolve) => { open = resolve })
    async function* events(signal) {
      try {
        await gate
        yield 'data: 1\\n\\n'
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        yield 'data: 2\\n\\n'
      } finally { console.log('cleaned up') }
    }
    export const handler = (r) => {
      if (r.path === '/open') return open()
      return { headers: { 'content-type': 'text/event-stream' }, body: events(r.signal) }
    }`,
  )
  const response = await runtime.open('GET', '/') // resolves with the head: nothing has been yielded yet
  assert.equal((await runtime.request('GET', '/open')).status, 204)
  const [first] = await once(response, 'data')
  assert.equal(String(first), 'data: 1\n\n')
  response.destroy()
  await runtime.logged((record) => record.message === 'cleaned up')
})

test('an endless stream stops when its caller leaves', async (t) => {
  const runtime = await serving(
    t,
    `export function* handler() {
      try { for (;;) yield 'x'.repeat(10000) } finally { console.log('cleaned up') }
    }`,
  )
  const response = await runtime.open('GET', '/')
  await once(response, 'data')
  response.destroy()
  await runtime.logged((record) => record.message === 'cleaned up')
})

test('a failure before the first piece is a status, after it a cut', async (t) => {
  const runtime = await serving(
    t,
    `export async function* handler(r) {
      if (r.path === '/late') yield 'part'
      throw new RangeError('in the stream')
    }`,
  )
  const reply = await runtime.request('GET', '/early')
  assert.deepEqual([reply.status, reply.json().message], [500, 'RangeError: in the stream'])
  await assert.rejects(runtime.request('GET', '/late'), { code: 'ECONNRESET' })
  assert.equal((await runtime.request('GET', '/early')).status, 500)
})

test('an exception is an attributed 500 with its stack in the log', async (t) => {
  const runtime = await serving(t, "function deeper() { throw new TypeError('lost') }\nexport const handler = () => deeper()")
  const reply = await runtime.request('GET', '/', { headers: { 'x-request-id': 'r-7' } })
  assert.equal(reply.status, 500)
  assert.deepEqual(reply.json(), {
    component: 'function',
    reason: 'Exception',
    message: 'TypeError: lost',
    requestId: 'r-7',
    executed: 'yes',
  })
  const record = await runtime.logged((r) => r.message === 'the handler raised')
  assert.deepEqual([record.requestId, record.level, record.target], ['r-7', 'ERROR', 'function'])
  assert.match(record.traceback, /at deeper/)
  assert.doesNotMatch(record.traceback, /handlers\.js/)
})

test('nothing that user code throws ends the server', async (t) => {
  const runtime = await serving(
    t,
    `const CASES = {
      '/string': () => { throw 'text' }, '/null': () => { throw null }, '/rejects': () => Promise.reject(new Error('r')),
      '/recursion': () => CASES['/recursion'](),
      '/callback': () => new Promise(() => setImmediate(() => { throw new Error('in a callback') })),
      '/stray': () => { Promise.reject(new Error('nobody waits for this')); return 'fine' },
    }
    export const handler = (r) => CASES[r.path]()`,
  )
  for (const path of ['/string', '/null', '/rejects', '/recursion', '/callback']) {
    const reply = await runtime.request('GET', path)
    assert.deepEqual([reply.status, reply.json().reason], [500, 'Exception'], path)
  }
  assert.equal((await runtime.request('GET', '/stray')).text, 'fine')
  await runtime.logged((r) => r.error === 'Error: nobody waits for this')
  assert.equal((await runtime.request('GET', '/healthz')).status, 200)
})

test('what user code prints carries its request', async (t) => {
  const runtime = await serving(
    t,
    "export const handler = () => { console.log('a', 1, { b: 2 }); console.error('bad'); console.log(JSON.stringify({ own: 1 })) }",
  )
  await runtime.request('GET', '/', { headers: { 'x-request-id': 'r-9' } })
  const printed = await runtime.logged((r) => r.message === 'a 1 { b: 2 }')
  assert.deepEqual([printed.requestId, printed.level], ['r-9', 'INFO'])
  assert.equal((await runtime.logged((r) => r.message === 'bad')).level, 'ERROR')
  await runtime.logged((r) => r.own === 1)
})

test('a handler of two parameters gets the objects of Node itself', async (t) => {
  const runtime = await serving(
    t,
    `export const handler = (req, res, next) => {
      if (req.url === '/throws') throw new Error('early')
      if (req.url === '/next') return next()
      if (req.url === '/fails') return next(new Error('later'))
      res.writeHead(202, { 'x-id': req.requestId })
      req.pipe(res)
    }`,
  )
  const reply = await runtime.request('POST', '/x', { body: 'piped', headers: { 'x-request-id': 'r-3' } })
  assert.deepEqual([reply.status, reply.text, reply.headers['x-id']], [202, 'piped', 'r-3'])
  for (const [path, status] of [['/throws', 500], ['/fails', 500], ['/next', 404]]) {
    assert.equal((await runtime.request('GET', path)).status, status, path)
  }
})

test('requests run side by side', async (t) => {
  const runtime = await serving(
    t,
    `const waiting = []
    export const handler = (r) => new Promise((resolve) => {
      waiting.push(() => resolve(r.query.get('i')))
      if (waiting.length === 20) waiting.forEach((go) => go())
    })`,
  )
  const replies = await Promise.all(Array.from({ length: 20 }, (_, i) => runtime.request('GET', `/?i=${i}`)))
  assert.deepEqual(replies.map((reply) => reply.text), Array.from({ length: 20 }, (_, i) => String(i)))
})

const UPGRADE = 'GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

test('an exported upgrade function gets WebSocket upgrades', async (t) => {
  const runtime = await serving(
    t,
    `export const handler = () => 'plain'
    export const upgrade = (req, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n')
      socket.on('data', (data) => socket.end(req.url + String(data).toUpperCase()))
    }`,
  )
  const socket = net.connect(runtime.port, '127.0.0.1')
  socket.write(UPGRADE)
  assert.match(await readUntil(socket, '\r\n\r\n'), / 101 /)
  socket.write('hi')
  assert.equal(await readUntil(socket, 'HI'), '/chatHI')
  assert.equal((await runtime.request()).text, 'plain')
})

test('a function without one refuses the upgrade', async (t) => {
  const runtime = await serving(t, "export const handler = () => 'plain'")
  const socket = net.connect(runtime.port, '127.0.0.1')
  socket.write(UPGRADE)
  assert.match(await readUntil(socket, 'UpgradeRefused'), / 403 /)
  socket.destroy()
})
