// From the source of a package to what the runtime loads: dependencies from the lock file, TypeScript compiled.

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { copyTree } from './files.js'
import { compile, isTypeScript } from './typescript.js'

/** The source cannot be built, for a reason that its author has to know. */
export class BuildFailure extends Error {}

const LOCK_FILES = ['package-lock.json', 'npm-shrinkwrap.json']

/** Builds in a copy, so that nothing is written into the source. */
export function build(source, work, target) {
  const root = path.join(work, 'source')
  copyTree(source, root, (file) => file !== 'node_modules')
  const manifest = readManifest(root)
  const installed = installDependencies(root, work, manifest)
  if (manifest.scripts?.build !== undefined) {
    run('npm', ['run', '--silent', 'build'], root, work)
  } else if (isTypeScript(root)) {
    compile(root, (program, words) => run(program, words, root, work))
  }
  if (installed) run('npm', ['prune', '--omit=dev', '--offline', '--ignore-scripts'], root, work)
  copyTree(root, target, isOfUse)
}

function readManifest(root) {
  let text
  try {
    text = fs.readFileSync(path.join(root, 'package.json'), 'utf8')
  } catch {
    return {}
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new BuildFailure(`package.json: ${error.message}`)
  }
}

/** Exactly what the lock file says, or nothing: a build that resolves anew is another one every day. */
function installDependencies(root, work, manifest) {
  if (LOCK_FILES.some((name) => fs.existsSync(path.join(root, name)))) {
    run('npm', ['ci'], root, work)
    return true
  }
  const wanted = { ...manifest.dependencies, ...manifest.devDependencies }
  if (Object.keys(wanted).length > 0) {
    throw new BuildFailure(
      `package.json: it wants ${Object.keys(wanted).join(', ')}, and there is no package-lock.json that says which: ` +
        'run `npm install` and add the file to the package',
    )
  }
  return false
}

/** Runs a tool with its words on stderr, where the errors of a build are looked for. */
function run(program, words, cwd, work) {
  const env = {
    ...process.env,
    PATH: `${path.join(cwd, 'node_modules', '.bin')}:${process.env.PATH}`,
    npm_config_cache: process.env.npm_config_cache ?? path.join(work, 'npm'),
    npm_config_update_notifier: 'false',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
  }
  const done = spawnSync(program, words, { cwd, env, stdio: ['ignore', 2, 2] })
  if (done.error !== undefined) throw new BuildFailure(`${program} cannot be run: ${done.error.message}`)
  if (done.status !== 0) throw new BuildFailure(`${program} ${words[0]} failed: see the lines above`)
}

/** What the runtime never reads stays behind. */
function isOfUse(file) {
  const name = path.basename(file)
  if (name === '.bin' && path.basename(path.dirname(file)) === 'node_modules') return false
  if (file.includes('node_modules')) return true
  return !/\.[cm]?ts$/.test(name) && !/^tsconfig.*\.json$/.test(name) && !LOCK_FILES.includes(name)
}
