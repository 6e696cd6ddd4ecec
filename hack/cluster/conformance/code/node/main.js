exports.main = async (request) =>
  request.path === '/env' ? process.env.PROBE ?? '' : `${request.method} ${request.path} ${await request.text()}`
