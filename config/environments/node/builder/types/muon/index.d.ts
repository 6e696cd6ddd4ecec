// The types of a function's request and reply: `import type { Request, Reply } from 'muon'`. There is nothing to import
// when it runs.

export interface Request extends AsyncIterable<Uint8Array> {
  readonly method: string
  /** The path, percent-decoded. */
  readonly path: string
  /** Parameters of the route's path pattern, by name in any case. */
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** Header fields by lower-case name. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly requestId: string
  /** Aborted when the caller goes away. */
  readonly signal: AbortSignal
  body(): Promise<Uint8Array>
  text(): Promise<string>
  json<T = unknown>(): Promise<T>
}

type Pieces = Iterator<string | Uint8Array> | AsyncIterable<string | Uint8Array>

export interface Reply {
  status?: number
  headers?: Record<string, string | string[]>
  body?: unknown
}

/** What a handler may return: text, bytes, anything that JSON can write, a reply, a fetch Response, a stream. */
export type Value = string | Uint8Array | Reply | Response | Pieces | object | number | boolean | null | undefined | void

export type Handler = (request: Request) => Value | Promise<Value>
