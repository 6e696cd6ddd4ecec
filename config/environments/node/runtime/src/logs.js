// One JSON object a line on stdout: our own records and whatever user code gives to `console`, each with the id of
// the request it was written in. What user code writes to process.stdout itself is left as it is.

import { AsyncLocalStorage } from 'node:async_hooks'
import { fileURLToPath } from 'node:url'
import path from 'node:path'
import util from 'node:util'

/** The exchange (request and response) being handled where the code runs. */
export const currentExchange = new AsyncLocalStorage()

const runtimeRoot = path.dirname(path.dirname(fileURLToPath(import.meta.url)))

export function emit(level, target, message, fields) {
  const record = { timestamp: new Date().toISOString(), level, target, message }
  const exchange = currentExchange.getStore()
  if (exchange !== undefined) record.requestId = exchange.requestId
  write(JSON.stringify(fields === undefined ? record : Object.assign(record, fields)))
}

function write(line) {
  process.stdout.write(line + '\n')
}

/** `TypeError: x is not a function`, as the first line of a stack has it. */
export function describe(error) {
  if (error instanceof Error) return error.message ? `${error.name}: ${error.message}` : error.name
  return `thrown: ${util.inspect(error)}`
}

/** The stack without the frames of this runtime that called the user's code, and without Node's own. */
export function userStack(error) {
  if (!(error instanceof Error) || typeof error.stack !== 'string') return undefined
  const ours = (line) => /^\s+at /.test(line) && (line.includes(runtimeRoot) || line.includes('(node:'))
  return error.stack.split('\n').filter((line) => !ours(line)).join('\n')
}

export function exception(message, error) {
  emit('ERROR', 'function', message, { error: describe(error), traceback: userStack(error) })
}

const LEVELS = { debug: 'DEBUG', log: 'INFO', info: 'INFO', dir: 'INFO', warn: 'WARNING', error: 'ERROR', trace: 'DEBUG' }

/** A printed line that is a JSON object already is passed on: user code that logs in its own structure keeps it. */
function consoleLine(level, values) {
  const text = util.format(...values)
  if (text.startsWith('{') && text.endsWith('}') && !text.includes('\n') && isJson(text)) write(text)
  else emit(level, 'function', text)
}

function isJson(text) {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Takes over `console`. */
export function install() {
  for (const [method, level] of Object.entries(LEVELS)) {
    console[method] = (...values) => consoleLine(level, values)
  }
  // Nobody reads the log any more? That is no reason to fail a request.
  process.stdout.on('error', () => {})
}
