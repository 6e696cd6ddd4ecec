// The function that the environment's tests call.
import type { Handler, Request } from 'muon'
import fs from 'node:fs/promises'
import { Meeting } from './lib/meeting.js'

const meeting = new Meeting(8)

function deeper(): never {
  throw new Error('lost')
}

async function* upper(request: Request) {
  for await (const piece of request) yield Buffer.from(piece).toString().toUpperCase() as string
}

async function* late() {
  yield 'part'
  deeper()
}

const routes: Record<string, Handler> = {
  '/hello': () => 'hello\n',
  '/request': async (r) => ({
    method: r.method, path: r.path, id: r.params.id, a: r.query.get('a'), b: r.query.get('b'), two: r.headers['x-two'],
    body: await r.text(),
  }),
  '/made': () => ({ status: 201, headers: { 'x-made': 'yes' }, body: 'made' }),
  '/echo': (r) => upper(r),
  '/meet': async () => {
    await meeting.join()
    return 'met'
  },
  '/fail': () => deeper(),
  '/late': () => late(),
  '/env': async () => `${process.env.GREETING}|${await fs.readFile('data.txt', 'utf8')}`,
  '/log': () => console.warn('a line'),
  '/never': () => {
    console.log('begun')
    return new Promise(() => {})
  },
  '/hold': () => {
    console.log('begun')
    return fs.readFile(process.env.GATE, 'utf8')
  },
}

export const handler: Handler = (request) => routes[request.path](request)
