// For packages without @types/node: enough for small functions. Whoever wants more puts that into package.json.

declare const process: { readonly env: Record<string, string | undefined>; cwd(): string; memoryUsage(): Record<string, number> }
declare const Buffer: any
declare module 'node:*'
