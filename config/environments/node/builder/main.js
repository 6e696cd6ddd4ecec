// `node main.js` builds $SRC_PKG into $DEPLOY_PKG. What it writes to stderr is for the author of the package.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { BuildFailure, build } from './src/build.js'

const { SRC_PKG: source, DEPLOY_PKG: target } = process.env
if (!source || !target) {
  console.error('SRC_PKG and DEPLOY_PKG must name the source directory and the place for the result')
  process.exit(2)
}
const work = fs.mkdtempSync(path.join(os.tmpdir(), 'node-build-'))
try {
  build(path.resolve(source), work, path.resolve(target))
} catch (error) {
  console.error(error instanceof BuildFailure ? error.message : error)
  process.exitCode = 1
} finally {
  fs.rmSync(work, { recursive: true, force: true })
}
