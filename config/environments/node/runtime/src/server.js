// The process: the HTTP server, signals, and which request is ours and which the user's.

import http from 'node:http'
import * as logs from './logs.js'
import { fail, serve } from './handlers.js'
import { Loading } from './loading.js'
import { sendError } from './reply.js'
import { rehearse } from './rehearsal.js'

const HEALTH_PATH = '/healthz'
const LOAD_PATHS = new Map([['/v2/specialize', 2], ['/specialize', 1]])

// Only proxies and the agent keep connections open, and they close what they do not need. A short time of ours would
// only close a connection in the very moment in which a proxy sends its next request on it.
const KEEP_ALIVE_MS = 3_600_000

/** Everything that is set from outside, by environment variables. */
function settings(env) {
  return {
    port: Number(env.MUON_PORT ?? 8888),
    address: env.MUON_ADDRESS || undefined, // none: every address of the pod
    bodyLimit: Number(env.MUON_BODY_LIMIT ?? 64 << 20),
    graceMs: Number(env.MUON_GRACE_SECONDS ?? 25) * 1000,
  }
}

function makeServer(loading) {
  const server = http.createServer((req, res) => {
    const { handler } = loading
    const mark = req.url.indexOf('?')
    const path = mark < 0 ? req.url : req.url.slice(0, mark)
    if (path === HEALTH_PATH && (req.method === 'GET' || req.method === 'HEAD')) {
      res.writeHead(200, { 'content-type': 'text/plain', 'content-length': 3 }).end('ok\n')
    } else if (req.method === 'POST' && LOAD_PATHS.has(path)) {
      loading.serve(req, res, LOAD_PATHS.get(path)).then(() => acceptUpgrades(server, loading))
    } else if (handler !== undefined) {
      serve(handler, req, res)
    } else {
      const message = 'no function is loaded in this pod yet'
      const requestId = req.headers['x-request-id']
      sendError(res, 503, { component: 'runtime', reason: 'NotLoaded', message, requestId })
    }
  })
  // Uploads and idle connections are bounded by the proxy, which knows the function's own limits.
  server.keepAliveTimeout = KEEP_ALIVE_MS
  server.headersTimeout = 0
  server.requestTimeout = 0
  return server
}

/** With a listener, every upgrade goes to it and none to the handler: so there is one only if the function has it. */
function acceptUpgrades(server, loading) {
  const upgrade = loading.handler?.upgrade
  if (upgrade === undefined || server.listenerCount('upgrade') > 0) return
  server.on('upgrade', async (req, socket, head) => {
    socket.on('error', () => socket.destroy())
    try {
      await upgrade(req, socket, head)
    } catch (error) {
      logs.exception('the upgrade handler raised', error)
      socket.destroy()
    }
  })
}

/** Errors outside of any promise or callback of ours: they are logged, and end the request that they belong to. */
function catchStrayErrors() {
  const stray = (error) => {
    const exchange = logs.currentExchange.getStore()
    if (exchange !== undefined && !exchange.res.writableEnded) fail(exchange, error)
    else logs.exception('an error outside of any request', error)
  }
  process.on('uncaughtException', stray)
  process.on('unhandledRejection', stray)
}

/** Begins the end: requests in flight are finished, but not longer than the grace period lasts. */
function stopOnSignals(server, graceMs) {
  let stopping = false
  const stop = () => {
    if (stopping) return
    stopping = true
    logs.emit('INFO', 'runtime', 'stopping', { graceSeconds: graceMs / 1000 })
    server.close(() => {
      logs.emit('INFO', 'runtime', 'stopped')
      process.exit(0)
    })
    server.closeIdleConnections()
    // A connection kept alive would hold the server open: each one is closed soon after its request is done.
    setInterval(() => server.closeIdleConnections(), 50)
    setTimeout(() => {
      logs.emit('WARNING', 'runtime', 'the grace period is over; what still runs is cut off')
      process.exit(0)
    }, graceMs)
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

export async function main() {
  logs.install()
  const { port, address, bodyLimit, graceMs } = settings(process.env)
  const server = makeServer(new Loading(bodyLimit))
  catchStrayErrors()
  stopOnSignals(server, graceMs)
  await rehearse(makeServer)
  // Without an address Node listens on every one, IPv6 and IPv4 alike where the pod has both.
  server.listen({ port, host: address, backlog: 2048 }, () => {
    logs.emit('INFO', 'runtime', 'listening', { port: server.address().port })
  })
}
