// From what a handler returned to a status, headers and a body; and the JSON shape of every error of ours.

import { once } from 'node:events'
import http from 'node:http'

/** A handler returned something that cannot be sent. */
export class ReplyInvalid extends Error {}

const TEXT = 'text/plain; charset=utf-8'
const BYTES = 'application/octet-stream'
const JSON_TYPE = 'application/json'

// The server frames the message; a handler's own idea of its length or of the connection would only contradict it.
const FRAMING_HEADERS = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'upgrade'])
const REPLY_KEYS = new Set(['status', 'headers', 'body'])

/** {status, headers, body-bytes or body-pieces} of any value a handler may return. */
export function toReply(value) {
  if (isFetchResponse(value)) {
    return { status: checkStatus(value.status), headers: toHeaders(value.headers), ...bodyOf(value.body ?? '') }
  }
  if (!isReplyLike(value)) return { status: value == null ? 204 : 200, headers: new Map(), ...bodyOf(value) }
  const body = bodyOf(value.body)
  const status = value.status ?? (value.body == null ? 204 : 200)
  return { status: checkStatus(status), headers: toHeaders(value.headers), ...body }
}

/** Asked by its tag: to name the class Response would make Node load its whole fetch, tens of milliseconds. */
function isFetchResponse(value) {
  return Object.prototype.toString.call(value) === '[object Response]' && value instanceof Response
}

/** Is it {status, headers, body}, or a value of the user's that is to be sent as JSON? */
function isReplyLike(value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return false
  if (!Object.keys(value).every((key) => REPLY_KEYS.has(key))) return false
  return typeof value.status === 'number' || (typeof value.headers === 'object' && value.headers !== null)
}

function bodyOf(value) {
  if (value == null) return { bytes: Buffer.alloc(0) }
  if (typeof value === 'string') return { bytes: Buffer.from(value), type: TEXT }
  if (isBytes(value)) return { bytes: asBuffer(value), type: BYTES }
  if (isIterator(value)) return { pieces: value }
  let text
  try {
    text = JSON.stringify(value)
  } catch (error) {
    throw new ReplyInvalid(`the returned value cannot be written as JSON: ${error.message}`)
  }
  if (text === undefined) throw new ReplyInvalid(`a ${typeof value} is not a reply`)
  return { bytes: Buffer.from(text), type: JSON_TYPE }
}

function isIterator(value) {
  if (typeof value !== 'object') return false
  return Symbol.asyncIterator in value || (Symbol.iterator in value && typeof value.next === 'function')
}

function isBytes(value) {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value)
}

function asBuffer(value) {
  if (value instanceof ArrayBuffer) return Buffer.from(value)
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}

function checkStatus(status) {
  if (Number.isInteger(status) && status >= 200 && status <= 599) return status
  throw new ReplyInvalid(`${status} is not a status that a function can reply with (200 to 599)`)
}

function toHeaders(headers) {
  const result = new Map()
  if (headers == null) return result
  const pairs = typeof headers[Symbol.iterator] === 'function' ? headers : Object.entries(headers)
  for (const [rawName, value] of pairs) {
    const name = String(rawName).toLowerCase()
    const values = (Array.isArray(value) ? value : [value]).map(String)
    try {
      http.validateHeaderName(name)
      for (const one of values) http.validateHeaderValue(name, one)
    } catch (error) {
      throw new ReplyInvalid(`the header ${JSON.stringify(rawName)} cannot be sent: ${error.message}`)
    }
    if (!FRAMING_HEADERS.has(name)) result.set(name, [...(result.get(name) ?? []), ...values])
  }
  return result
}

/** Sends a reply; resolves when the last byte has been handed over. */
export async function sendReply(exchange, reply) {
  const { res } = exchange
  for (const [name, values] of reply.headers) res.setHeader(name, values.length === 1 ? values[0] : values)
  res.statusCode = reply.status
  if (reply.pieces !== undefined) return sendPieces(exchange, reply)
  if (reply.status === 204 || reply.status === 304) return void res.end()
  if (reply.type !== undefined && !res.hasHeader('content-type')) res.setHeader('content-type', reply.type)
  res.setHeader('content-length', reply.bytes.length)
  res.end(reply.bytes)
}

/** Sends the pieces of an iterator, each at once, and stops it when the caller goes away. */
async function sendPieces(exchange, reply) {
  const { res } = exchange
  // An event stream is open as soon as its head is there. Other heads wait for the first piece, so that a failure
  // before it can still be told by a status.
  if (String(res.getHeader('content-type') ?? '').startsWith('text/event-stream')) res.flushHeaders()
  for await (const piece of reply.pieces) {
    if (exchange.gone) return // leaving the loop runs the generator's `finally` blocks
    if (typeof piece !== 'string' && !isBytes(piece)) {
      throw new ReplyInvalid(`a stream must yield text or bytes, and this one yielded a ${typeof piece}`)
    }
    if (!res.headersSent && !res.hasHeader('content-type')) {
      res.setHeader('content-type', typeof piece === 'string' ? TEXT : BYTES)
    }
    if (!res.write(typeof piece === 'string' ? piece : asBuffer(piece))) {
      await Promise.race([once(res, 'drain'), exchange.whenGone])
    }
  }
  res.end()
}

export function sendJson(res, status, value, headers = {}) {
  const body = Buffer.from(JSON.stringify(value))
  res.writeHead(status, { 'content-type': JSON_TYPE, 'content-length': body.length, ...headers })
  res.end(body)
}

/**
 * Answers with an error that says whose it is and whether user code ran. Once the status has left, the connection
 * is cut instead, which the caller sees.
 */
export function sendError(res, status, error, headers) {
  const { component, reason, message, requestId = null, executed = 'no', ...more } = error
  if (res.headersSent) {
    if (!res.writableEnded) res.destroy()
    return
  }
  for (const name of res.getHeaderNames()) res.removeHeader(name)
  sendJson(res, status, { component, reason, message, requestId, executed, ...more }, headers)
}
