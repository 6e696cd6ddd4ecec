// The request as user code sees it, and the exchange behind it.

import { randomBytes } from 'node:crypto'

const PATH_PARAMETER_PREFIX = 'muon-path-param-'

/** The request body is larger than the runtime keeps in memory. */
export class BodyTooLarge extends Error {}

/** The caller went away before its whole request had arrived. */
export class CallerGone extends Error {}

/** One request and its response, with what both the handler and the log need to know of them. */
export class Exchange {
  #gone

  constructor(req, res) {
    this.req = req
    this.res = res
    this.gone = false
    res.once('close', () => {
      if (res.writableFinished) return
      this.gone = true
      this.#gone?.resolve()
      this.controller?.abort(new CallerGone('the caller went away'))
    })
  }

  /** Resolves when the caller goes away before its reply was complete. */
  get whenGone() {
    if (this.#gone === undefined) {
      this.#gone = {}
      this.#gone.promise = new Promise((resolve) => (this.#gone.resolve = resolve))
      if (this.gone) this.#gone.resolve()
    }
    return this.#gone.promise
  }

  /** The id the proxy gave this request; one of our own when it was called without a proxy. */
  get requestId() {
    return (this.id ??= this.req.headers['x-request-id'] ?? randomBytes(8).toString('hex'))
  }
}

export class MuonRequest {
  #exchange
  #bodyLimit
  #url
  #params
  #body

  constructor(exchange, bodyLimit) {
    this.#exchange = exchange
    this.#bodyLimit = bodyLimit
  }

  get method() {
    return this.#exchange.req.method
  }

  /** The path, percent-decoded. */
  get path() {
    return decode(this.#parsed.pathname)
  }

  /** URLSearchParams of the query string. */
  get query() {
    return this.#parsed.searchParams
  }

  /** Header fields by lower-case name. */
  get headers() {
    return this.#exchange.req.headers
  }

  /** Parameters of the route's path pattern. Any case will do: they travel as header names. */
  get params() {
    return (this.#params ??= pathParameters(this.headers))
  }

  get requestId() {
    return this.#exchange.requestId
  }

  /** The id of the trace that the request belongs to, from `traceparent`; undefined outside of one. */
  get traceId() {
    return /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(this.headers.traceparent ?? '')?.[1]
  }

  /** Aborted when the caller goes away: hand it to fetch, or stop long work on it. */
  get signal() {
    const exchange = this.#exchange
    exchange.controller ??= new AbortController()
    if (exchange.gone) exchange.controller.abort(new CallerGone('the caller went away'))
    return exchange.controller.signal
  }

  /** Node's own request, a readable stream: the body in pieces as they arrive. */
  get stream() {
    return this.#exchange.req
  }

  /** The whole body as a Buffer. */
  body() {
    return (this.#body ??= readBody(this.#exchange.req, this.#bodyLimit))
  }

  async text() {
    return (await this.body()).toString('utf8')
  }

  async json() {
    return JSON.parse(await this.text())
  }

  [Symbol.asyncIterator]() {
    return this.#exchange.req[Symbol.asyncIterator]()
  }

  get #parsed() {
    return (this.#url ??= parseTarget(this.#exchange.req.url))
  }
}

/** The path and query of a request target; `//x` is a path here, not a host. */
function parseTarget(target) {
  const mark = target.indexOf('?')
  const pathname = mark < 0 ? target : target.slice(0, mark)
  return { pathname, searchParams: new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)) }
}

export async function readBody(stream, limit) {
  const pieces = []
  let size = 0
  try {
    for await (const piece of stream) {
      size += piece.length
      if (size > limit) throw new BodyTooLarge(`the request body is larger than ${limit} bytes`)
      pieces.push(piece)
    }
  } catch (error) {
    if (error.code === 'ECONNRESET') throw new CallerGone('the caller went away while its request was read')
    throw error
  }
  return Buffer.concat(pieces)
}

function pathParameters(headers) {
  const values = {}
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(PATH_PARAMETER_PREFIX)) values[name.slice(PATH_PARAMETER_PREFIX.length)] = decode(value)
  }
  return new Proxy(values, {
    get: (target, name) => (typeof name === 'string' ? target[name.toLowerCase()] : target[name]),
    has: (target, name) => (typeof name === 'string' ? name.toLowerCase() : name) in target,
  })
}

/** Percent-decoding that leaves alone what is not valid. */
function decode(text) {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
