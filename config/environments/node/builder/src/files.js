// Copies of directory trees: plain files and directories, a link as what it leads to inside of the tree.

import fs from 'node:fs'
import path from 'node:path'

/** `wanted(file)` is asked for each path below `from`; what begins with a dot at the top stays behind. */
export function copyTree(from, to, wanted) {
  const root = fs.realpathSync(from)
  fs.mkdirSync(to, { recursive: true })
  const walk = (inside) => {
    for (const name of fs.readdirSync(path.join(root, inside))) {
      const file = path.join(inside, name)
      if ((inside === '' && name.startsWith('.') && name !== '.npmrc') || !wanted(file)) continue
      const real = realPath(path.join(root, file))
      if (real === undefined || !(real === root || real.startsWith(root + path.sep))) continue
      const found = fs.statSync(real)
      if (found.isDirectory()) {
        // A link to a directory above itself has no end.
        if ((path.join(root, inside) + path.sep).startsWith(real + path.sep)) continue
        fs.mkdirSync(path.join(to, file), { recursive: true })
        walk(file)
      } else if (found.isFile()) {
        fs.copyFileSync(real, path.join(to, file))
      }
    }
  }
  walk('')
}

function realPath(file) {
  try {
    return fs.realpathSync(file)
  } catch {
    return undefined // a link to nowhere
  }
}
