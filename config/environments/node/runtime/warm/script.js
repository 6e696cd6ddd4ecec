// Loaded once at the start (src/warmup.js), as a user's CommonJS file is.
exports.handler = (request) => request.path
