// Starts the runtime as a process and speaks HTTP with it, as the agent and the proxy do.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import readline from 'node:readline'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../main.js', import.meta.url))

// How long a test waits for something that must come; only a broken runtime makes it wait that long.
const PATIENCE_MS = 30_000

export class Runtime {
  log = []
  #waiting = new Set()

  /** Starts a runtime on a free loopback port; test `t` ends it. */
  static async start(t, env = {}) {
    const runtime = new Runtime()
    const environment = { PATH: process.env.PATH, MUON_ADDRESS: '127.0.0.1', MUON_PORT: '0', ...env }
    runtime.process = spawn(process.env.MUON_TEST_NODE ?? process.execPath, [main], {
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    runtime.exited = once(runtime.process, 'exit').then(([code, signal]) => signal ?? code)
    readline.createInterface({ input: runtime.process.stdout }).on('line', (line) => runtime.#read(line))
    runtime.package = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'muon-package-')))
    t.after(async () => {
      runtime.process.kill('SIGKILL')
      await runtime.exited
      fs.rmSync(runtime.package, { recursive: true })
    })
    runtime.port = (await runtime.logged((record) => record.message === 'listening')).port
    return runtime
  }

  #read(line) {
    let record
    try {
      record = JSON.parse(line)
    } catch {
      record = { notJson: line }
    }
    this.log.push(record)
    for (const check of this.#waiting) check(record)
  }

  /** The first log record for which `wanted` holds, waiting until it is written. */
  logged(wanted) {
    const found = this.log.find(wanted)
    if (found !== undefined) return Promise.resolve(found)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no such record; the log: ${JSON.stringify(this.log)}`)), PATIENCE_MS)
      const check = (record) => {
        if (!wanted(record)) return
        clearTimeout(timer)
        this.#waiting.delete(check)
        resolve(record)
      }
      this.#waiting.add(check)
    })
  }

  /** Opens a request and resolves to the response as soon as its head is there. */
  async open(method, target, { headers = {}, body } = {}) {
    const request = http.request({ host: '127.0.0.1', port: this.port, method, path: target, headers, agent: false })
    request.end(body)
    const [response] = await once(request, 'response')
    return response
  }

  async request(method = 'GET', target = '/', options = {}) {
    const response = await this.open(method, target, options)
    const pieces = []
    for await (const piece of response) pieces.push(piece)
    const bytes = Buffer.concat(pieces)
    const text = bytes.toString()
    return { status: response.statusCode, headers: response.headers, bytes, text, json: () => JSON.parse(text) }
  }

  /** Writes files of the package: {path: text}. */
  write(files) {
    for (const [name, text] of Object.entries(files)) {
      const file = path.join(this.package, name)
      fs.mkdirSync(path.dirname(file), { recursive: true })
      fs.writeFileSync(file, text)
    }
    return this.package
  }

  load(filepath, functionName = '', more = {}) {
    const order = { filepath, functionName, url: '', envVersion: 2, ...more }
    return this.request('POST', '/v2/specialize', { body: JSON.stringify(order) })
  }

  /** Loads a package that must load. */
  async serve(files, entrypoint = 'index.handler') {
    const reply = await this.load(this.write(files), entrypoint)
    if (reply.status !== 200) throw new Error(`the load failed: ${reply.text}`)
  }

  /** Ends the process as Kubernetes does; resolves to its exit code. */
  stop() {
    this.process.kill('SIGTERM')
    return this.exited
  }
}
