// Plays a load and a few requests once at the start, on a server of its own: Node compiles and sets up most of what
// they need at their first use, and no caller of a cold function shall wait for that.

import { once } from 'node:events'
import http from 'node:http'
import { fileURLToPath } from 'node:url'
import { Loading } from './loading.js'

const filepath = fileURLToPath(new URL('../rehearsal', import.meta.url))
const ENTRYPOINTS = ['script.handler', 'module.handler']
const ROUNDS = 5

/** `makeServer(loading)` gives a server as the real one is. */
export async function rehearse(makeServer) {
  const directory = process.cwd()
  for (const functionName of ENTRYPOINTS) {
    const server = makeServer(new Loading(1 << 20, () => {}))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address()
    await play(port, 'POST', '/v2/specialize', JSON.stringify({ filepath, functionName }))
    for (let round = 0; round < ROUNDS; round++) {
      await play(port, 'GET', `/?round=${round}`)
      await play(port, 'POST', '/', '{"round":1}')
    }
    server.closeAllConnections()
    server.close()
  }
  process.chdir(directory)
}

async function play(port, method, path, body) {
  const headers = { 'content-type': 'application/json', 'x-request-id': 'rehearsal' }
  const request = http.request({ host: '127.0.0.1', port, method, path, headers, agent: false })
  request.end(body)
  const [response] = await once(request, 'response')
  response.resume()
  await once(response, 'end')
}
