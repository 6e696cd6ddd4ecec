// Which packages are TypeScript, and how they are compiled: by their own compiler and settings where they have them.

import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const TYPES = fileURLToPath(new URL('../types', import.meta.url))

// Errors one to a line, with file and place, as a log shows them.
const PLAIN = ['--pretty', 'false']

const WITHOUT_SETTINGS = {
  compilerOptions: {
    target: 'es2022',
    lib: ['es2022', 'dom'],
    module: 'node16',
    moduleResolution: 'node16',
    strict: true,
    esModuleInterop: true,
    skipLibCheck: true,
    resolveJsonModule: true,
  },
  exclude: ['node_modules'],
}

export function isTypeScript(root) {
  return fs.existsSync(path.join(root, 'tsconfig.json')) || hasSource(root)
}

function hasSource(folder) {
  return fs.readdirSync(folder, { withFileTypes: true }).some((entry) => {
    if (entry.isDirectory()) return entry.name !== 'node_modules' && hasSource(path.join(folder, entry.name))
    return /\.[cm]?ts$/.test(entry.name) && !/\.d\.[cm]?ts$/.test(entry.name)
  })
}

/** `run(program, words)` runs a tool in the package. */
export function compile(root, run) {
  const settings = path.join(root, 'tsconfig.json')
  if (!fs.existsSync(settings)) fs.writeFileSync(settings, JSON.stringify(WITHOUT_SETTINGS))
  const added = addTypes(root)
  // Its own compiler is first on the PATH.
  run('tsc', ['--project', settings, ...PLAIN])
  for (const folder of added) fs.rmSync(folder, { recursive: true })
}

/** The types of requests and replies, for `import type { Request } from 'muon'`, unless the package has its own. */
function addTypes(root) {
  const added = []
  for (const name of fs.readdirSync(TYPES)) {
    const folder = path.join(root, 'node_modules', '@types', name)
    if (fs.existsSync(folder)) continue
    fs.cpSync(path.join(TYPES, name), folder, { recursive: true })
    added.push(folder)
  }
  return added
}
