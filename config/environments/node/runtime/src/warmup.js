// Does once what a load does, before there is one: the first import in a process costs several times the second.

import { load } from './loader.js'
import { fileURLToPath } from 'node:url'

const directory = fileURLToPath(new URL('../warm', import.meta.url))

export async function warmUp() {
  const before = process.cwd()
  for (const entrypoint of ['script.handler', 'module.handler']) {
    await load({ filepath: directory, entrypoint, env: {} })
  }
  process.chdir(before)
}
