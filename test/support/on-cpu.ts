/** @file Options of one engine process on the CPU with one thread. */

export const ON_CPU = { executionProvider: 'cpu', cudaDevice: 0, threads: 1, replicas: 1 } as const
