/**
 * @file Generates the OpenAPI contract from the route schemas and serves it at `/openapi.yaml` and `/docs`.
 */

import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { Document, isScalar, Scalar, stringify, visit } from 'yaml'
import { API_KEY } from './authenticate.ts'
import { COMPONENTS } from './schemas/index.ts'
import { DOCS_POLICY } from './security-headers.ts'

const DESCRIPTION = [
  'A reasoning server that learns overnight: each question is solved with test-time optimisation in the latent space of a language model, guided by earlier, similar questions.',
  'Bodies are `application/json`. Unknown fields and wrong types are refused, never coerced. Errors are `application/problem+json` (RFC 9457) with a stable `code`, and under `/v1` OpenAI’s envelope; docs/errors.md lists the codes.',
  '`GET /openapi.yaml` serves this contract; `GET /docs` shows it as a page.',
].join('\n\n')

const KEYS =
  'An API key, created by `circadian keys create` for one tenant with some of the scopes `solve`, `feedback`, `delete`, `metrics` and `admin`. A server that listens on loopback needs none as long as no key was ever created.'

/** Version of the service; equal to the version in package.json. */
const VERSION = '0.1.0'

/** Response headers that many routes share, with the names of their components. */
const SHARED_HEADERS: Readonly<Record<string, string>> = {
  'x-request-id': 'RequestId',
  'retry-after': 'RetryAfter',
}

const YAML_WIDTH = 110

/**
 * Registers the components and the generator. Must be called before the routes are added, because it
 * collects them.
 */
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
      components: {
        securitySchemes: {
          [API_KEY]: {
            type: 'http',
            scheme: 'bearer',
            description: KEYS,
          },
        },
      },
      servers: [{ url: '/', description: 'This server.' }],
      tags: [
        { name: 'solve', description: 'Solve problems.' },
        {
          name: 'openai',
          description:
            'The same for clients of OpenAI’s API. Errors have the schema OpenAIError, with the statuses of problems.',
        },
        { name: 'episodes', description: 'Solved requests that are kept: read, label and delete them.' },
        {
          name: 'nights',
          description: 'Consolidations, which train artifacts from episodes: start, watch and undo them.',
        },
        { name: 'service', description: 'Health and metrics.' },
      ],
    },
    refResolver: {
      buildLocalReference: (schema, _base, _fragment, index) => String(schema['$id'] ?? `inline-${index}`),
    },
    transformObject: (document) => {
      if (!('openapiObject' in document)) throw new Error('internal: openapi: expected an OpenAPI 3 document')
      // Paths before components: the order in which people read them.
      const { paths, components, ...head } = document.openapiObject
      const headers = shareHeaders(paths)
      allowMissingBodies(paths)
      return { ...head, paths, components: { headers, ...components } } as typeof document.openapiObject
    },
  })
  // Serves every asset of the page itself, so that the page works without the internet.
  app.register(swaggerUi, { routePrefix: '/docs', staticCSP: DOCS_POLICY })
}

/** Adds `GET /openapi.yaml`. It serves the same bytes as the file `openapi.yaml` of the repository. */
export function contractRoute(app: FastifyInstance): void {
  let yaml: string | undefined
  app.get('/openapi.yaml', { schema: { hide: true } }, async (_request, reply) => {
    yaml ??= contractYaml(app)
    return reply.type('application/yaml; charset=utf-8').send(yaml)
  })
}

/** Returns the contract as YAML. Descriptions that YAML would quote or fold are written as block scalars. */
export function contractYaml(app: FastifyInstance): string {
  const document = new Document(app.swagger(), { aliasDuplicateObjects: false })
  visit(document, {
    Pair(_index, { key, value }) {
      if (!isScalar(key) || key.value !== 'description') return
      if (isScalar(value) && typeof value.value === 'string' && !fitsOneLine(value.value))
        value.type = Scalar.BLOCK_FOLDED
    },
  })
  return document.toString({ lineWidth: YAML_WIDTH })
}

/** Replaces every shared header of a response by a reference. @returns the headers as components, by name */
function shareHeaders(paths: object | undefined): Record<string, object> {
  const components: Record<string, object> = {}
  for (const operations of Object.values<Record<string, Operation>>({ ...paths })) {
    const responses = Object.values(operations).flatMap((operation) => Object.values(operation.responses))
    for (const { headers = {} } of responses) {
      for (const [header, definition] of Object.entries(headers)) {
        const name = SHARED_HEADERS[header]
        if (name === undefined) continue
        components[name] = definition
        headers[header] = { $ref: `#/components/headers/${name}` }
      }
    }
  }
  return components
}

/** Marks a body that may be null as one that may be missing: the generator requires every body. */
function allowMissingBodies(paths: object | undefined): void {
  for (const operations of Object.values<Record<string, Operation>>({ ...paths })) {
    for (const { requestBody } of Object.values(operations)) {
      const { anyOf = [] } = requestBody?.content['application/json']?.schema ?? {}
      if (requestBody && anyOf.some(({ type }) => type === 'null')) requestBody.required = false
    }
  }
}

interface Operation {
  readonly responses: Readonly<Record<string, { readonly headers?: Record<string, object> }>>
  readonly requestBody?: {
    required?: boolean
    readonly content: Readonly<
      Record<string, { readonly schema?: { readonly anyOf?: readonly { readonly type?: string }[] } }>
    >
  }
}

function fitsOneLine(text: string): boolean {
  return text.length <= YAML_WIDTH - 30 && stringify(text, { lineWidth: 0 }) === `${text}\n`
}
