// Is a text an ES module? Asked only where neither the file's name nor a package.json says so.

import { isBuiltin } from 'node:module'

const IMPORT_OR_EXPORT = /^\s*(import\b[\s{*'"]|export\b[\s{*])/m
const SPECIFIERS = /\b(?:from|import)\s*['"]([^'"]+)['"]/g

export function isModuleSource(source) {
  return IMPORT_OR_EXPORT.test(source)
}

/** Whether a module imports nothing but what is built into Node, so that it runs wherever its text is. */
export function isSelfContained(source) {
  if (/\bimport\s*[.(]/.test(source)) return false // import() may name anything, import.meta tells the place
  return [...source.matchAll(SPECIFIERS)].every(([, specifier]) => isBuiltin(specifier))
}
