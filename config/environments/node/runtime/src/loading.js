// The load contract: who may order a load, that a pod loads once, and that the same order twice is one load.

import net from 'node:net'
import * as logs from './logs.js'
import { makeHandler } from './handlers.js'
import { LoadFailure, load } from './loader.js'
import { BodyTooLarge, readBody } from './request.js'
import { sendError, sendJson } from './reply.js'

const V1_FILE = '/userfunc/user'
const ORDER_LIMIT = 1 << 20

/** The load request itself is wrong: the fault of whoever sent it, not of the package. */
class OrderInvalid extends Error {}

const loopback = new net.BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Whether a peer address is this machine's own; an unknown peer is not. */
export function isLoopback(address) {
  const plain = String(address ?? '').replace(/^::ffff:(?=\d+\.)/i, '')
  const family = net.isIP(plain)
  return family !== 0 && loopback.check(plain, family === 4 ? 'ipv4' : 'ipv6')
}

/** The order in a v2 request's body. */
export function parseOrder(body) {
  let fields
  try {
    fields = JSON.parse(body)
  } catch (error) {
    throw new OrderInvalid(`the body is not JSON: ${error.message}`)
  }
  if (!isObject(fields)) throw new OrderInvalid('the body is not a JSON object')
  const { filepath } = fields
  const entrypoint = fields.functionName ?? ''
  const env = fields.env ?? {}
  if (typeof filepath !== 'string' || filepath === '' || filepath.includes('\0')) {
    throw new OrderInvalid('filepath must be the path of the unpacked package')
  }
  if (typeof entrypoint !== 'string') throw new OrderInvalid('functionName must be text')
  if (!isObject(env) || !Object.entries(env).every(isVariable)) throw new OrderInvalid('env must map names to text')
  return { filepath, entrypoint, env }
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isVariable([name, value]) {
  return name !== '' && !/[=\0]/.test(name) && typeof value === 'string' && !value.includes('\0')
}

/** Holds the one handler of this process, and how it came to be. */
export class Loading {
  handler
  #bodyLimit
  #log
  #order
  #running

  constructor(bodyLimit, log = logs.emit) {
    this.#bodyLimit = bodyLimit
    this.#log = log
  }

  /** Answers POST /v2/specialize and POST /specialize. */
  async serve(req, res, version) {
    const from = { component: 'runtime', requestId: req.headers['x-request-id'] }
    if (!isLoopback(req.socket.remoteAddress)) {
      const message = 'a load is taken from this pod only'
      return sendError(res, 403, { ...from, reason: 'NotLoopback', message }, { connection: 'close' })
    }
    try {
      sendJson(res, 200, { loaded: true, milliseconds: await this.load(await readOrder(req, version)) })
    } catch (error) {
      const { message } = error
      if (error instanceof OrderInvalid || error instanceof BodyTooLarge) {
        sendError(res, 400, { ...from, reason: 'OrderInvalid', message })
      } else if (error instanceof LoadFailure) {
        const status = error.reason === 'AlreadyLoaded' ? 400 : 500
        sendError(res, status, { ...from, reason: error.reason, message, traceback: error.traceback })
      } else {
        sendError(res, 500, { ...from, reason: 'LoadFailed', message: logs.describe(error) })
      }
    }
  }

  /** Loads once. The same order again joins the load that runs, or finds it done. */
  load(order) {
    const loaded = this.#order
    if (loaded !== undefined && (loaded.filepath !== order.filepath || loaded.entrypoint !== order.entrypoint)) {
      const what = `${loaded.filepath} ${loaded.entrypoint}`.trim()
      throw new LoadFailure('AlreadyLoaded', `already loaded: this pod serves ${what}`)
    }
    if (loaded === undefined) {
      this.#order = order
      this.#running = this.#load(order)
    }
    return this.#running
  }

  async #load(order) {
    const started = performance.now()
    const { filepath } = order
    try {
      const { entry, upgrade } = await load(order)
      this.handler = makeHandler(entry, upgrade, this.#bodyLimit)
    } catch (error) {
      this.#order = undefined
      this.#log('ERROR', 'runtime', 'load failed', { reason: error.reason, error: error.message, filepath })
      throw error
    }
    const milliseconds = Math.round((performance.now() - started) * 1000) / 1000
    this.#log('INFO', 'runtime', 'loaded', { filepath, handler: this.handler.kind, milliseconds })
    return milliseconds
  }
}

async function readOrder(req, version) {
  if (version === 2) return parseOrder(await readBody(req, ORDER_LIMIT))
  req.resume()
  return { filepath: process.env.MUON_V1_FILE ?? V1_FILE, entrypoint: '', env: {} }
}
