/** @file The contract, generated from the route schemas and served: `GET /openapi.yaml`, `GET /docs`. */

import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { COMPONENTS } from './schemas/index.ts'

const DESCRIPTION = [
  'A reasoning server that learns overnight: each question is solved with test-time optimisation in the latent space of a language model, guided by what similar questions taught it.',
  'Bodies are `application/json`; unknown fields and wrong types are refused, never coerced. Errors are `application/problem+json` (RFC 9457) with a stable `code`; docs/errors.md lists them.',
  '`GET /openapi.yaml` serves this contract, `GET /docs` shows it.',
].join('\n\n')

/** Of the service, package.json's. */
const VERSION = '0.1.0'

/** Registers the components and the generator. Must come before the routes: it learns them as they come. */
export function describeContract(app: FastifyInstance): void {
  for (const component of COMPONENTS) app.addSchema(component)
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Circadian',
        version: VERSION,
        description: DESCRIPTION,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'This server.' }],
      tags: [
        { name: 'solve', description: 'Ask.' },
        { name: 'episodes', description: 'What is remembered, and what callers know about it.' },
        {
          name: 'nights',
          description: 'What is learned from what is remembered: start it, watch it, undo it.',
        },
        { name: 'service', description: 'Health and metrics.' },
      ],
    },
    refResolver: {
      buildLocalReference: (schema, _base, _fragment, index) => String(schema['$id'] ?? `inline-${index}`),
    },
    transformObject: (document) => {
      if (!('openapiObject' in document)) throw new Error('internal: openapi: expected an OpenAPI 3 document')
      // In the order in which people read it.
      const { paths, components, ...head } = document.openapiObject
      return { ...head, paths, components } as typeof document.openapiObject
    },
  })
  // Everything it needs comes from this server: it works without the internet.
  app.register(swaggerUi, { routePrefix: '/docs' })
}

/** `GET /openapi.yaml`: what `openapi.yaml` of the repository holds, byte for byte. */
export function contractRoute(app: FastifyInstance): void {
  app.get('/openapi.yaml', { schema: { hide: true } }, async (_request, reply) => {
    return reply.type('application/yaml; charset=utf-8').send(app.swagger({ yaml: true }))
  })
}
