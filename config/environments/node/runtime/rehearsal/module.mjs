// Loaded once at the start (src/rehearsal.js), as a user's ES module is.
export async function handler(request) {
  if (request.method === 'GET') return { status: 200, headers: { 'content-type': 'text/plain' }, body: 'text' }
  return { text: await request.text() }
}
