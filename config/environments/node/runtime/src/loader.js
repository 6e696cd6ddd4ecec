// Brings one package into this process and finds its entrypoint, or says what is wrong with it.

import fs from 'node:fs'
import path from 'node:path'
import { describeImportError } from './import-errors.js'
import { EXTENSIONS, forgetModules, importFile } from './importing.js'

/** The package could not be loaded for a reason that its author has to know. */
export class LoadFailure extends Error {
  constructor(reason, message, traceback = []) {
    super(message)
    this.reason = reason
    this.traceback = traceback
  }
}

const DEFAULT_MODULE = 'index'
const DEFAULT_EXPORTS = ['handler', 'default']

/** Carries out an order {filepath, entrypoint, env}; resolves to {entry, upgrade}. */
export async function load(order) {
  const undo = []
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 100 // Node's own loader takes more frames than the usual ten between two of the user's
  try {
    return await attempt(order, undo)
  } catch (error) {
    for (const step of undo.reverse()) step()
    throw error
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

async function attempt(order, undo) {
  const root = realPath(order.filepath)
  const isDirectory = fs.statSync(root).isDirectory()
  setEnvironment(order.env, undo)
  if (isDirectory) {
    const before = process.cwd()
    process.chdir(root) // data files are found beside the code
    undo.push(() => process.chdir(before))
  }
  undo.push(() => forgetModules(root))
  const { file, names } = isDirectory ? locate(root, order.entrypoint) : singleFile(root, order.entrypoint)
  let exports
  try {
    exports = await importFile(file, isDirectory ? root : path.dirname(root))
  } catch (error) {
    const lines = describeImportError(error, isDirectory ? root : path.dirname(root), file)
    throw new LoadFailure('ImportFailed', lines.slice(-4).join('\n'), lines)
  }
  return find(exports, names, path.relative(isDirectory ? root : path.dirname(root), file))
}

function realPath(filepath) {
  try {
    return fs.realpathSync(filepath)
  } catch {
    throw new LoadFailure('PackageNotFound', `there is nothing at ${filepath}`)
  }
}

function setEnvironment(env, undo) {
  for (const [name, value] of Object.entries(env)) {
    const before = process.env[name]
    process.env[name] = value
    undo.push(() => (before === undefined ? delete process.env[name] : (process.env[name] = before)))
  }
}

function singleFile(file, entrypoint) {
  const name = entrypoint.slice(entrypoint.lastIndexOf('.') + 1)
  return { file, names: entrypoint.includes('.') ? [name] : [name, ...DEFAULT_EXPORTS].filter(Boolean) }
}

/**
 * The file and the export that an entrypoint means: `file.export`, `dir/file.export`, `dir.file.export`, or a module
 * alone for its default export. Nothing at all is the package's main module.
 */
function locate(root, entrypoint) {
  if (entrypoint === '') {
    const file = moduleFile(root, mainOf(root) ?? DEFAULT_MODULE)
    if (file === undefined) throw new LoadFailure('EntrypointNotFound', noModule(root, DEFAULT_MODULE))
    return { file, names: DEFAULT_EXPORTS }
  }
  const whole = moduleFile(root, entrypoint)
  if (whole !== undefined) return { file: whole, names: ['default', 'handler'] }
  const dot = entrypoint.lastIndexOf('.')
  const name = dot < 0 ? entrypoint : entrypoint.slice(0, dot)
  const file = moduleFile(root, name) ?? moduleFile(root, name.replaceAll('.', '/'))
  if (dot < 0 || file === undefined) throw new LoadFailure('EntrypointNotFound', noModule(root, name))
  return { file, names: [entrypoint.slice(dot + 1)] }
}

function mainOf(root) {
  try {
    return JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')).main
  } catch {
    return undefined
  }
}

function moduleFile(root, name) {
  const base = path.resolve(root, name)
  if (base !== root && !base.startsWith(root + path.sep)) {
    throw new LoadFailure('EntrypointInvalid', `${JSON.stringify(name)} lies outside of the package`)
  }
  const candidates = [base, ...EXTENSIONS.map((e) => base + e), ...EXTENSIONS.map((e) => path.join(base, 'index' + e))]
  return candidates.find((file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile())
}

function noModule(root, name) {
  const found = fs.readdirSync(root).filter((file) => EXTENSIONS.includes(path.extname(file))).sort()
  const has = found.length > 0 ? `it has: ${found.slice(0, 20).join(', ')}` : 'it has no JavaScript files at its top'
  return `the package has no module '${name}'; ${has}`
}

function find(exports, names, file) {
  const own = exports.default
  for (const name of names) {
    const entry = exports[name] ?? own?.[name]
    if (typeof entry === 'function') return { entry, upgrade: upgradeOf(exports, entry) }
    // `module.exports = {handler}` imported as a default export
    if (entry !== undefined && name !== 'default') {
      throw new LoadFailure('EntrypointInvalid', `${file} exports '${name}' as a ${typeof entry}, not as a function`)
    }
  }
  const has = functionNames(exports)
  const list = has.length > 0 ? `it exports: ${has.slice(0, 20).join(', ')}` : 'it exports no functions'
  throw new LoadFailure('EntrypointNotFound', `${file} has no export '${names[0]}'; ${list}`)
}

/** `upgrade(req, socket, head)`, exported beside the handler or set on it, gets WebSocket upgrades. */
function upgradeOf(exports, entry) {
  const upgrade = exports.upgrade ?? exports.default?.upgrade ?? entry.upgrade
  return typeof upgrade === 'function' && upgrade !== entry ? upgrade : undefined
}

function functionNames(exports) {
  const names = new Set()
  for (const object of [exports, exports.default]) {
    if (object === null || object === undefined || typeof object === 'string') continue
    for (const name of Object.keys(object)) if (typeof object[name] === 'function') names.add(name)
  }
  return [...names].filter((name) => name !== 'module.exports').sort()
}
