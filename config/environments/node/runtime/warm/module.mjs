// Loaded once at the start (src/warmup.js), as a user's ES module is.
export const handler = (request) => request.path
