// A module hook for versions of Node that do not recognise an ES module in a .js file by its syntax: inside the user's
// package (but not in its node_modules), a .js file that would be CommonJS and has import or export is taken as one.

import fs from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { isModuleSource } from './module-syntax.js'

let prefix

export function initialize(data) {
  prefix = data.prefix
}

export async function load(url, context, nextLoad) {
  const isOurs = url.startsWith(prefix) && !url.includes('/node_modules/')
  if (isOurs && /\.js(\?|$)/.test(url) && context.format !== 'module') {
    const source = await fs.readFile(fileURLToPath(url.replace(/\?.*$/, '')), 'utf8')
    if (isModuleSource(source)) return { format: 'module', source, shortCircuit: true }
  }
  return nextLoad(url, context)
}
