// Loaded once at the start (src/rehearsal.js), as a user's CommonJS file is.
exports.handler = async (request) => {
  if (request.method === 'GET') return `${request.path} ${request.query.get('round')} ${request.headers.host}`
  return { path: request.path, params: { ...request.params }, body: await request.json() }
}
