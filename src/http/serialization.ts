/** @file Compiles the serializers of responses, each schema once in a process. */

import createSerializerFactory, { type SerializerFactory } from '@fastify/fast-json-stringify-compiler'

const buildSerializers = createSerializerFactory()
/** Serializers by the components of an app, then by schema. */
const compiled = new Map<string, Map<string, (value: unknown) => string>>()

/**
 * Builder of serializers as fastify's own, with a memory. Fastify compiles each schema for each status of each route, and
 * almost all of ours are references to the same few components: 27 serializers in place of 366.
 */
export const buildSerializer: SerializerFactory = (components, options) => {
  const compile = buildSerializers(components, options)
  const key = JSON.stringify([components, options])
  const serializers = compiled.get(key) ?? new Map<string, (value: unknown) => string>()
  compiled.set(key, serializers)
  return (route) => {
    const schema = JSON.stringify(route.schema)
    const serializer = serializers.get(schema) ?? compile(route)
    serializers.set(schema, serializer)
    return serializer
  }
}
