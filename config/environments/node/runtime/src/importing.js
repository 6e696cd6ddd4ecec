// Imports one file of either module system, also where only its text tells which it is: code that is written straight
// into YAML has no package.json, and the old contract's single file has not even an extension.

import fs from 'node:fs'
import module, { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { isModuleSource, isSelfContained } from './module-syntax.js'

export const EXTENSIONS = ['.mjs', '.js', '.cjs']

/** Versions of Node that can require() an ES module also recognise one by its text. */
const nodeRecognisesModules = Boolean(process.features.require_module)

const require = createRequire(import.meta.url)

/** What has been imported: Node keeps ES modules for good, failed ones too, so a second try needs another URL. */
const imported = new Map()

/** The file's exports; `root` is the package that it belongs to. */
export async function importFile(file, root) {
  const extension = path.extname(file)
  if (!EXTENSIONS.includes(extension)) return importText(file)
  if (extension === '.js' && !nodeRecognisesModules && !hasModuleType(file, root)) {
    const source = fs.readFileSync(file, 'utf8')
    if (isModuleSource(source)) {
      if (isSelfContained(source)) return importModuleText(source, file)
      recogniseModules(root)
    }
  }
  return import(freshUrl(file))
}

/** CommonJS modules can be forgotten. ES modules cannot; a later load gets its own by another URL. */
export function forgetModules(root) {
  for (const file of Object.keys(require.cache)) {
    if (file === root || file.startsWith(root + path.sep)) delete require.cache[file]
  }
}

function freshUrl(file) {
  const times = imported.get(file) ?? 0
  imported.set(file, times + 1)
  return times === 0 ? String(pathToFileURL(file)) : `${pathToFileURL(file)}?load=${times}`
}

/** Whether the nearest package.json says which module system its .js files are of. */
function hasModuleType(file, root) {
  for (let directory = path.dirname(file); ; directory = path.dirname(directory)) {
    const manifest = path.join(directory, 'package.json')
    if (fs.existsSync(manifest)) return JSON.parse(fs.readFileSync(manifest, 'utf8')).type !== undefined
    if (directory === root || directory === path.dirname(directory)) return false
  }
}

/** Costs tens of milliseconds, since Node runs such hooks in a thread of their own: a package.json avoids that. */
function recogniseModules(root) {
  module.register('./module-hook.js', import.meta.url, { data: { prefix: `${pathToFileURL(root)}/` } })
}

function importText(file) {
  const source = fs.readFileSync(file, 'utf8')
  return isModuleSource(source) ? importModuleText(source, file) : importScriptText(source, file)
}

function importModuleText(source, file) {
  const text = `${source}\n//# sourceURL=${freshUrl(file)}`
  return import(`data:text/javascript;base64,${Buffer.from(text).toString('base64')}`)
}

function importScriptText(source, file) {
  const script = new module.Module(file)
  script.filename = file
  script.paths = module.Module._nodeModulePaths(path.dirname(file))
  script._compile(source, file)
  return { default: script.exports }
}
