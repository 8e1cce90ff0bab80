export { readConsole } from './read-console.ts'
