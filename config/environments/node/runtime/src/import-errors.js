// What the author of a package reads when it fails to import: own frames and the error, nothing of this runtime.

import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe } from './logs.js'

/** One line a frame, outermost first, and the error's own line last. */
export function describeImportError(error, root, entryFile) {
  if (!(error instanceof Error)) return [describe(error)]
  const frames = framesOf(error, root)
  const own = frames.filter((frame) => !frame.file.includes(`${path.sep}node_modules${path.sep}`))
  const lines = (own.length > 0 ? own : frames).reverse().map((frame) => `${path.relative(root, frame.file)}:${frame.line}`)
  if (error instanceof SyntaxError) lines.push(...syntaxErrorPlace(error, root, entryFile))
  // Node lists the modules that wanted the missing one, with full paths: the frames tell that already
  lines.push(describe(error).split('\nRequire stack:')[0].replaceAll(root + path.sep, ''))
  return lines
}

function framesOf(error, root) {
  const frames = []
  for (const line of String(error.stack ?? '').split('\n')) {
    const match = /^\s+at .*?\(?((?:file:\/\/)?\/[^():]*):(\d+):\d+\)?$/.exec(line)
    if (match === null) continue
    const file = plainPath(match[1])
    if (file.startsWith(root + path.sep)) frames.push({ file, line: match[2] })
  }
  return frames
}

function plainPath(text) {
  if (!text.startsWith('file://')) return text
  return fileURLToPath(text.replace(/\?.*$/, ''))
}

/**
 * Where a syntax error is. Node keeps that out of the error when it comes from an ES module, and prints it only when
 * it ends by it: so, in this rare case, another Node is asked to check the file.
 */
function syntaxErrorPlace(error, root, entryFile) {
  const place = parsePlace(String(error.stack ?? ''), root)
  if (place.length > 0) return place
  const check = spawnSync(process.execPath, ['--check', entryFile], { encoding: 'utf8', timeout: 5000 })
  return parsePlace(check.stderr ?? '', root)
}

/** `main.js:3: the line's text`, from the head of what Node prints for a syntax error. */
function parsePlace(text, root) {
  const match = /^((?:file:\/\/)?\/[^\n]*):(\d+)\n([^\n]*)\n/.exec(text)
  if (match === null) return []
  return [`${path.relative(root, plainPath(match[1]))}:${match[2]}: ${match[3].trim()}`]
}
