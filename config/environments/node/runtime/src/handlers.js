// How each kind of entrypoint is called: `(request) => value`, and Node's own `(req, res)`.

import * as logs from './logs.js'
import { BodyTooLarge, CallerGone, Exchange, MuonRequest } from './request.js'
import { ReplyInvalid, sendError, sendReply, toReply } from './reply.js'

/**
 * A handler serves (exchange); it may also have `upgrade(req, socket, head)`.
 * Two declared parameters mean Node's own objects, as Express-like applications take them.
 */
export function makeHandler(entry, upgrade, bodyLimit) {
  const serve = entry.length >= 2 ? (exchange) => callNodeStyle(entry, exchange) : (exchange) => call(entry, exchange, bodyLimit)
  return { kind: entry.length >= 2 ? 'req, res' : 'request', serve, upgrade }
}

/** Serves one request of the user's within its own logging context; never throws. */
export function serve(handler, req, res) {
  const exchange = new Exchange(req, res)
  return logs.currentExchange.run(exchange, async () => {
    try {
      await handler.serve(exchange)
    } catch (error) {
      fail(exchange, error)
    }
  })
}

async function call(entry, exchange, bodyLimit) {
  if (isWebSocket(exchange.req)) throw new UpgradeRefused('this function does not speak WebSocket')
  const value = await entry(new MuonRequest(exchange, bodyLimit))
  await sendReply(exchange, toReply(value))
}

class UpgradeRefused extends Error {}

function isWebSocket(req) {
  return req.headers.upgrade?.toLowerCase() === 'websocket'
}

async function callNodeStyle(entry, exchange) {
  exchange.req.requestId = exchange.requestId
  const { res } = exchange
  await entry(exchange.req, res, (error) => {
    // What Express-like code calls `next`: nobody in the application wanted the request, or it failed.
    if (error) fail(exchange, error)
    else sendError(res, 404, { ...whose(exchange), reason: 'NotFound', message: 'the application has no such route' })
  })
}

function whose(exchange) {
  return { component: 'function', requestId: exchange.requestId, executed: 'yes' }
}

/** Answers for a handler that failed. */
export function fail(exchange, error) {
  const { res } = exchange
  const base = whose(exchange)
  if (error instanceof CallerGone && exchange.gone) return
  if (error instanceof BodyTooLarge) {
    // The rest of the body is not read, so nothing more can come over this connection.
    const headers = { connection: 'close' }
    sendError(res, 413, { ...base, component: 'runtime', reason: 'BodyTooLarge', message: error.message }, headers)
  } else if (error instanceof UpgradeRefused) {
    sendError(res, 403, { ...base, executed: 'no', reason: 'UpgradeRefused', message: error.message })
  } else if (error instanceof ReplyInvalid) {
    logs.emit('ERROR', 'function', 'the reply of the handler cannot be sent', { error: error.message })
    sendError(res, 500, { ...base, reason: 'ReplyInvalid', message: error.message })
  } else {
    logs.exception('the handler raised', error)
    sendError(res, 500, { ...base, reason: 'Exception', message: logs.describe(error) })
  }
}
